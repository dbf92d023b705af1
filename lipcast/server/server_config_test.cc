#include "lipcast/server/server_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "lipcast/avatar/test_package.h"

namespace lipcast::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Words = std::vector<std::string>;

class ConfigFile : public testing::Test {
 protected:
  Status Read(const std::string& text) {
    avatar::WriteFile(path(), text);
    return ReadConfigFile(path(), &config_);
  }
  std::string Error(const std::string& text) {
    const Status status = Read(text);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << text << ": " << status.ToString();
    EXPECT_EQ(status.message().find('\n'), std::string::npos) << status.message();
    const std::string start = path().string() + ": ";
    EXPECT_TRUE(status.message().starts_with(start)) << status.message();
    return status.message().substr(std::min(start.size(), status.message().size()));
  }
  std::filesystem::path path() const { return folder_.path() / "lipcast.yaml"; }

  TempFolder folder_;
  ServerConfig config_;
};

Words Values(const ServerConfig& config) {
  Words values;
  for (const ConfigKey& key : ConfigKeys()) {
    std::string line = key.name + " =";
    for (const std::string& word : key.get(config)) line += " <" + word + ">";
    values.push_back(line);
  }
  return values;
}

Status Set(const std::string& name, const std::string& value) {
  ServerConfig config;
  return SetConfigKey(name, value, &config);
}

/// Every key set to something that is not its default.
ServerConfig AllChanged(const std::string& text) {
  ServerConfig config;
  const Words choices{"cuda", "prefer", "lfu", "full", "raw", "debug", "json", "otlp"};
  for (const ConfigKey& key : ConfigKeys()) {
    const Words before = key.get(config);
    if (key.list) {
      EXPECT_TRUE(key.set(config, {text, "zwei, drei", "4"}).ok()) << key.name;
    } else if (key.text) {
      EXPECT_TRUE(key.set(config, {text}).ok()) << key.name;
    } else if (key.range) {
      EXPECT_TRUE(key.set(config, {std::to_string(key.range->second - 1)}).ok()) << key.name;
    } else if (key.wanted == "true or false") {
      EXPECT_TRUE(key.set(config, {before[0] == "true" ? "false" : "true"}).ok()) << key.name;
    } else {
      EXPECT_TRUE(std::ranges::any_of(
          choices, [&](const std::string& choice) { return key.set(config, {choice}).ok(); }))
          << key.name << ": add one of its choices to this test";
    }
    EXPECT_NE(key.get(config), before) << key.name;
  }
  return config;
}

TEST(ConfigKeys, TheFeatureCacheIsAutomaticOrANumber) {
  ServerConfig config;
  EXPECT_EQ(config.feature_cache_mb, std::nullopt);
  ASSERT_TRUE(SetConfigKey("avatars.feature_cache_mb", "0", &config).ok());
  EXPECT_EQ(config.feature_cache_mb, 0);
  ASSERT_TRUE(SetConfigKey("avatars.feature_cache_mb", "auto", &config).ok());
  EXPECT_EQ(config.feature_cache_mb, std::nullopt);
  EXPECT_EQ(Set("avatars.feature_cache_mb", "much").message(),
            "avatars.feature_cache_mb = 'much': want auto, or a whole number, 0..1048576");
}

TEST_F(ConfigFile, AnUnknownKeyIsRefusedWithItsLineAndASuggestion) {
  EXPECT_EQ(Error("log:\n  level: info\nlisten:\n  grpc_prt: 1\n"),
            "line 4: listen.grpc_prt: no such key, did you mean listen.grpc_port?");
  EXPECT_EQ(Error("grpc_port: 1\n"),
            "line 1: grpc_port: no such key, did you mean listen.grpc_port?");
  EXPECT_EQ(Error("limits:\n  http_port: 1\n"),
            "line 2: limits.http_port: no such key, did you mean listen.http_port?");
  EXPECT_EQ(Error("\nlistn:\n  host: a\n"), "line 2: listn: no such key, did you mean listen?");
  EXPECT_EQ(Error("monitoring: true\n"), "line 1: monitoring: no such key");
  EXPECT_EQ(Error("<<: {listen: {host: a}}\n"), "line 1: <<: no such key");
}

TEST_F(ConfigFile, AValueOfTheWrongTypeIsRefused) {
  EXPECT_EQ(Error("listen:\n  grpc_port: many\n"),
            "line 2: listen.grpc_port = 'many': want a whole number, 0..65535");
  EXPECT_EQ(Error("listen:\n  grpc_port: [1, 2]\n"),
            "line 2: listen.grpc_port: want a whole number, 0..65535");
  EXPECT_EQ(Error("listen:\n  grpc_port: {a: 1}\n"),
            "line 2: listen.grpc_port: want a whole number, 0..65535");
  EXPECT_EQ(Error("listen:\n  grpc_port:\n"),
            "line 2: listen.grpc_port: want a whole number, 0..65535");
  EXPECT_EQ(Error("listen:\n  insecure: yes\n"),
            "line 2: listen.insecure = 'yes': want true or false");
  EXPECT_EQ(Error("listen:\n  host: null\n"), "line 2: listen.host: want one line of UTF-8 text");
  EXPECT_EQ(Error("log:\n  level: loud\n"),
            "line 2: log.level = 'loud': want one of debug, info, warning, error");
  EXPECT_EQ(Error("avatars:\n  roots: {a: 1}\n"), "line 2: avatars.roots: want a list of texts");
  EXPECT_EQ(Error("avatars:\n  roots: [a, [b]]\n"), "line 2: avatars.roots: want a list of texts");
  EXPECT_EQ(Error("avatars:\n  roots: [\"\"]\n"),
            "line 2: avatars.roots = '': want items that are one line of UTF-8 text");
  EXPECT_EQ(Error("listen: 5\n"), "line 1: listen: want a section with keys of its own");
  EXPECT_EQ(Error("listen: [host]\n"), "line 1: listen: want a section with keys of its own");
  EXPECT_EQ(Error("? [a, b]\n: 1\n"), "line 1: want key: value");
}

TEST(ServerConfig, EveryNumberHasTwoEndsAndRefusesWhatLiesBeyond) {
  int numbers = 0;
  for (const ConfigKey& key : ConfigKeys()) {
    if (!key.range) continue;
    ++numbers;
    const auto [low, high] = *key.range;
    EXPECT_TRUE(key.wanted.ends_with("a whole number, " + std::to_string(low) + ".." +
                                     std::to_string(high)))
        << key.name;
    ServerConfig config;
    for (const int64_t inside : {low, high}) {
      ASSERT_TRUE(key.set(config, {std::to_string(inside)}).ok()) << key.name;
      EXPECT_THAT(key.get(config), ElementsAre(std::to_string(inside))) << key.name;
    }
    for (const std::string& outside :
         {std::to_string(low - 1), std::to_string(high + 1), std::string("99999999999999999999"),
          std::string("-99999999999999999999")}) {
      EXPECT_EQ(
          key.set(config, {outside}),
          Status(Code::kInvalidArgument, key.name + " = '" + outside + "': want " + key.wanted));
    }
    for (const char* const wrong : {"", " 1", "1 ", "1.0", "1e2", "0x10", "+1", "1_000", "nan"}) {
      EXPECT_FALSE(key.set(config, {wrong}).ok()) << key.name << " took '" << wrong << "'";
    }
    EXPECT_THAT(key.get(config), ElementsAre(std::to_string(high))) << key.name << ": was changed";
  }
  EXPECT_GE(numbers, 20);
}

TEST(ServerConfig, DefaultsAreValidAndEveryKeyIsNamedOnceWithItsHelp) {
  EXPECT_EQ(ServerConfig().Validate(), Status());
  std::set<std::string> names;
  for (const ConfigKey& key : ConfigKeys()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
    EXPECT_EQ(std::ranges::count(key.name, '.'), 1) << key.name;
    EXPECT_FALSE(key.help.empty() || key.wanted.empty()) << key.name;
  }
}

TEST(ServerConfig, ValidateNamesTheKeyThatWasSetByCodeOutOfRange) {
  ServerConfig config;
  config.jpeg_quality = 101;
  EXPECT_EQ(config.Validate().message(),
            "output.jpeg_quality = '101': want a whole number, 1..100");
  config = ServerConfig();
  config.eviction = "random";
  EXPECT_EQ(config.Validate().message(), "avatars.eviction = 'random': want one of lru, lfu");
}

TEST_F(ConfigFile, WhatIsPrintedIsReadBackAsItWas) {
  for (const std::string& text :
       {std::string("plain"), std::string("with \"quotes\" and \\ and 'these'"),
        std::string("null"), std::string("true"), std::string("~"), std::string("1.5"),
        std::string(" spaced "), std::string("# no comment: {a: [b]}"),
        std::string("&a *a !b %c @d `e"), std::string("аватар 🙂 \u0085 \u2028 \ufeff é"),
        std::string("C:\\Users\\anna\\new")}) {
    const ServerConfig changed = AllChanged(text);
    config_ = ServerConfig();
    ASSERT_EQ(Read(PrintConfig(changed)), Status()) << text << "\n" << PrintConfig(changed);
    EXPECT_EQ(Values(config_), Values(changed));
  }
  ServerConfig bare;
  bare.preload.clear();
  config_.preload = {"another"};
  ASSERT_EQ(Read(PrintConfig(bare)), Status());
  EXPECT_THAT(config_.preload, IsEmpty());
  EXPECT_EQ(Values(config_), Values(bare));
}

TEST(ServerConfig, TextIsOneLineSoThatItCanBePrintedAndLogged) {
  for (const std::string& text : {std::string("a\nb"), std::string("a\0b", 3),
                                  std::string("\x1b[31m"), std::string("\xff")}) {
    EXPECT_FALSE(Set("listen.host", text).ok());
    EXPECT_FALSE(Set("avatars.roots", text).ok());
    EXPECT_EQ(Set("listen.host", text).message().find('\n'), std::string::npos);
  }
}

TEST_F(ConfigFile, AFileThatIsNotYamlIsRefusedWithTheLine) {
  EXPECT_THAT(Error("listen:\n  host: [a\n"), HasSubstr("line "));
  EXPECT_THAT(Error("listen: {host: a\n"), HasSubstr("line "));
  EXPECT_THAT(Error("a: b: c\n"), HasSubstr("line 1: "));
  EXPECT_THAT(Error("listen:\n\thost: a\n"), HasSubstr("line 2: "));
  EXPECT_EQ(Error("just words\n"), "line 1: want key: value lines");
  EXPECT_EQ(Error("- a\n- b\n"), "line 1: want key: value lines");
  EXPECT_EQ(Error("log:\n  level: *x\n").substr(0, 8), "line 2: ");
  EXPECT_EQ(Error("log:\n  level: info\n\x04 format: no"),
            "line 3: holds the byte 0x04: want text");
  EXPECT_EQ(Error(std::string("\x7f"
                              "ELF\x02\x01",
                              6)),
            "line 1: holds the byte 0x7f: want text");
  EXPECT_EQ(Error("log: {level: \"\xff\"}"), "is not UTF-8 text");
  EXPECT_EQ(Error("log:\n  level: debug\n---\nlog:\n  level: error\n"),
            "line 4: a second document: want one");
  EXPECT_THAT(Error(std::string(5000, '[')), HasSubstr("line 1: "));
  EXPECT_EQ(Error(std::string((1 << 20) + 1, ' ')), "want at most 1 MiB");
}

TEST_F(ConfigFile, AnAliasOfItsOwnSectionEnds) {
  EXPECT_EQ(Error("listen: &a\n  b: *a\n"), "line 2: listen.b: no such key");
  EXPECT_EQ(Error("listen: &a\n  host: *a\n"), "line 2: listen.host: want one line of UTF-8 text");
  EXPECT_EQ(Error("avatars:\n  roots: &a [*a]\n"), "line 2: avatars.roots: want a list of texts");
}

TEST_F(ConfigFile, AKeyThatStandsTwiceIsRefused) {
  EXPECT_EQ(Error("log:\n  level: info\n  level: debug\n"), "line 3: log.level: stands twice");
  EXPECT_EQ(Error("log:\n  level: info\nlog:\n  format: json\n"), "line 3: log: stands twice");
  EXPECT_EQ(Error("log.level: info\nlog:\n  level: debug\n"), "line 3: log.level: stands twice");
}

TEST_F(ConfigFile, AFolderAndAMissingFileAreToldApart) {
  EXPECT_EQ(
      ReadConfigFile(folder_.path(), &config_),
      Status(Code::kInvalidArgument, folder_.path().string() + ": is a folder: want a YAML file"));
  EXPECT_EQ(ReadConfigFile(path(), &config_),
            Status(Code::kNotFound, path().string() + ": cannot be read"));
  EXPECT_EQ(ReadConfigFile(path() / "deeper", &config_).code(), Code::kNotFound);
}

TEST_F(ConfigFile, NothingSetsNothing) {
  for (const char* const text :
       {"", "\n\n", "# only a comment\n", "---\n", "listen:\n# host: a\n"}) {
    EXPECT_EQ(Read(text), Status()) << text;
  }
  EXPECT_EQ(Values(config_), Values(ServerConfig()));
}

TEST_F(ConfigFile, ARefusedFileChangesNothing) {
  Error("log:\n  level: debug\nlisten:\n  http_port: 99999\n");
  EXPECT_EQ(Values(config_), Values(ServerConfig()));
}

TEST_F(ConfigFile, ListsAreSequencesOrOneText) {
  ASSERT_EQ(Read("avatars:\n  roots: [/a, \"b, c\"]\n  preload:\n    - anna\n    - \"7\"\n"),
            Status());
  EXPECT_THAT(config_.avatar_roots, ElementsAre("/a", "b, c"));
  EXPECT_THAT(config_.preload, ElementsAre("anna", "7"));
  ASSERT_EQ(Read("avatars:\n  roots: /only\n  preload:\n"), Status());
  EXPECT_THAT(config_.avatar_roots, ElementsAre("/only"));
  EXPECT_THAT(config_.preload, IsEmpty());
}

TEST(ServerConfig, CommasSeparateTheItemsOfAListInFlagsAndEnvironment) {
  ServerConfig config;
  ASSERT_EQ(SetConfigKey("avatars.preload", "anna, ben,carl", &config), Status());
  EXPECT_THAT(config.preload, ElementsAre("anna", "ben", "carl"));
  ASSERT_EQ(SetConfigKey("avatars.preload", "", &config), Status());
  EXPECT_THAT(config.preload, IsEmpty());
  EXPECT_FALSE(SetConfigKey("avatars.preload", "anna,,carl", &config).ok());
  ASSERT_EQ(SetConfigKey("listen.tokens", "/etc/a,b", &config), Status());
  EXPECT_EQ(config.tokens, "/etc/a,b");  // no list
}

TEST(ServerConfig, AListInFlagsAndEnvironmentMayStandInBracketsAsInTheFile) {
  ServerConfig config;
  for (const char* const empty : {"[]", " [ ] "}) {
    config.say_command = {"auto"};
    ASSERT_EQ(SetConfigKey("say.command", empty, &config), Status());
    EXPECT_THAT(config.say_command, IsEmpty()) << empty;
  }
  ASSERT_EQ(SetConfigKey("avatars.preload", "[anna, ben]", &config), Status());
  EXPECT_THAT(config.preload, ElementsAre("anna", "ben"));
  EXPECT_EQ(SetConfigKey("avatars.preload", "[anna", &config).message(),
            "avatars.preload = '[anna': want items between [ and ]");
  EXPECT_FALSE(SetConfigKey("avatars.preload", "[,]", &config).ok());
}

TEST_F(ConfigFile, AFlagBeatsTheEnvironmentWhichBeatsTheFileWhichBeatsTheDefault) {
  avatar::WriteFile(path(), "listen:\n  grpc_port: 1\n  http_port: 1\n  compat_port: 9\n");
  ConfigSources sources;
  sources.file = path();
  sources.environment = {{"LIPCAST_LISTEN_GRPC_PORT", "2"}, {"LIPCAST_LISTEN_HTTP_PORT", "2"}};
  sources.flags = {{"listen.http_port", "3"}};
  const auto config = ReadConfig(sources);
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->http_port, 3);
  EXPECT_EQ(config->grpc_port, 2);
  EXPECT_EQ(config->compat_port, 9);
  EXPECT_EQ(config->jpeg_quality, 75);
}

TEST(ServerConfig, TheSourcesAreCheckedTogether) {
  ConfigSources sources;
  sources.environment = {{"LIPCAST_LISTEN_HOST", "0.0.0.0"}};
  EXPECT_THAT(ReadConfig(sources).status().message(), HasSubstr("listen.host = 0.0.0.0: want"));
  sources.flags = {{"listen.insecure", "true"}};
  EXPECT_TRUE(ReadConfig(sources).ok());
  sources.flags.emplace_back("listen.insecur", "true");
  EXPECT_EQ(ReadConfig(sources).status().message(),
            "listen.insecur: no such key, did you mean listen.insecure?");
}

TEST(ServerConfig, EveryKeyCanComeFromTheEnvironment) {
  for (const ConfigKey& key : ConfigKeys()) {
    const ServerConfig changed = AllChanged("text");
    std::string name = "LIPCAST_" + key.name, value;
    std::ranges::transform(name, name.begin(), [](unsigned char c) {
      return c == '.' ? '_' : static_cast<char>(std::toupper(c));
    });
    const Words words = key.list ? Words{"one"} : key.get(changed);
    ServerConfig config;
    EXPECT_EQ(ReadConfigEnvironment({{name, words[0]}}, &config), Status());
    EXPECT_EQ(key.get(config), words) << name;
  }
}

TEST(ServerConfig, AMisspelledVariableIsRefusedAndForeignOnesAreLeftAlone) {
  ServerConfig config;
  EXPECT_EQ(
      ReadConfigEnvironment({{"LIPCAST_LISTEN_GRPC_PRT", "1"}}, &config).message(),
      "LIPCAST_LISTEN_GRPC_PRT: listen.grpc_prt: no such key, did you mean listen.grpc_port?");
  EXPECT_EQ(ReadConfigEnvironment({{"LIPCAST_LOG_LEVEL", "loud"}}, &config).message(),
            "LIPCAST_LOG_LEVEL: log.level = 'loud': want one of debug, info, warning, error");
  EXPECT_EQ(ReadConfigEnvironment({{"LIPCAST_AVATARS", "/a:/b"},
                                   {"LIPCAST_ONNXRUNTIME", "/lib/libonnxruntime.so"},
                                   {"LIPCAST_SERVICE_HOST", "10.0.0.1"},
                                   {"PATH", "/bin"}},
                                  &config),
            Status());
}

TEST(ServerConfig, ListeningBeyondLoopbackNeedsTlsOrInsecure) {
  ServerConfig config;
  for (const char* const host : {"127.0.0.1", "127.9.9.9", "::1", "localhost", "0:0:0:0:0:0:0:1"}) {
    config.host = host;
    EXPECT_EQ(config.Validate(), Status()) << host;
  }
  for (const char* const host :
       {"0.0.0.0", "::", "192.168.1.2", "example.org", "127.evil.example", "127.0.0.1.example.org",
        "localhost.example.org", "::2", "127.1"}) {
    ServerConfig open;
    open.host = host;
    EXPECT_EQ(open.Validate().code(), Code::kInvalidArgument) << host;
    EXPECT_THAT(open.Validate().message(), HasSubstr("listen.insecure = true")) << host;
    open.insecure = true;
    EXPECT_EQ(open.Validate(), Status()) << host;
    open.insecure = false;
    open.tls_certificate = "cert.pem";
    open.tls_key = "key.pem";
    EXPECT_EQ(open.Validate(), Status()) << host;
  }
  config.host = "";
  config.insecure = true;
  EXPECT_EQ(config.Validate().message(), "listen.host = '': want an address or a name");
}

TEST(ServerConfig, TlsTakesACertificateAndItsKeyTogether) {
  ServerConfig config;
  config.tls_certificate = "cert.pem";
  EXPECT_THAT(config.Validate().message(), HasSubstr("want both or none"));
  config = ServerConfig();
  config.tls_key = "key.pem";
  EXPECT_THAT(config.Validate().message(), HasSubstr("want both or none"));
  config = ServerConfig();
  config.tls_client_ca = "ca.pem";
  EXPECT_THAT(config.Validate().message(), HasSubstr("listen.tls_client_ca"));
}

TEST(ServerConfig, OriginsAreASchemeAndAHost) {
  ServerConfig config;
  config.origins = {"https://app.example", "http://localhost:3000"};
  EXPECT_EQ(config.Validate(), Status());
  for (const char* bad : {"*", "app.example", "https://", "https://app.example/",
                          "https://*.example", "://app.example", "https://me@app.example"}) {
    config.origins = {"https://app.example", bad};
    EXPECT_THAT(config.Validate().message(),
                HasSubstr(std::string("listen.origins = '") + bad + "'"));
  }
}

TEST(ServerConfig, PortsMayNotCollideUnlessAnyWillDo) {
  ServerConfig config;
  config.http_port = config.grpc_port;
  EXPECT_THAT(config.Validate().message(), HasSubstr("listen.http_port = 50051"));
  config.http_port = config.grpc_port = 0;
  EXPECT_EQ(config.Validate(), Status());
  config.compat_port = config.http_port = 8080;
  EXPECT_THAT(config.Validate().message(), HasSubstr("listen.http_port = 8080"));
  config.http_port = 0;
  config.grpc_port = 8080;
  EXPECT_THAT(config.Validate().message(), HasSubstr("listen.compat_port = 8080"));
}

TEST(ServerConfig, AReloadTakesWhatItMayAndNamesTheRest) {
  ServerConfig running;
  const ServerConfig fresh = AllChanged("text");
  const Words left = TakeReloadable(fresh, &running);
  size_t reloads = 0;
  for (const ConfigKey& key : ConfigKeys()) {
    reloads += key.reloads ? 1 : 0;
    EXPECT_EQ(key.get(running), key.get(key.reloads ? fresh : ServerConfig())) << key.name;
    EXPECT_EQ(std::ranges::count(left, key.name), key.reloads ? 0 : 1) << key.name;
  }
  EXPECT_GE(reloads, 5U);
  EXPECT_THAT(TakeReloadable(running, &running), IsEmpty());
}

}  // namespace
}  // namespace lipcast::server
