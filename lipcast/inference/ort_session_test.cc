// Real ONNX Runtime on the tiny models of testdata/ (made by make_models.py).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <numeric>
#include <thread>

#include "lipcast/inference/session.h"

namespace lipcast::inference {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<uint8_t> ReadModel(const std::string& name) {
  std::ifstream file(std::string(LIPCAST_SOURCE_DIR "/lipcast/inference/testdata/") + name,
                     std::ios::binary);
  std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  EXPECT_FALSE(bytes.empty()) << name;
  return bytes;
}

class OnnxRuntime : public testing::Test {
 protected:
  void SetUp() override {
    auto loaded = LoadOnnxRuntime();
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    backend_ = *std::move(loaded);
  }
  std::shared_ptr<const Session> Load(const std::string& name, SessionOptions options = {}) const {
    auto loaded = backend_->Load(ReadModel(name), name, options);
    EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
    return loaded.ok() ? *loaded : nullptr;
  }
  /// The refusal's text: kInvalidArgument, one line, with the model's name in front.
  std::string Refusal(std::span<const uint8_t> bytes, SessionOptions options = {}) const {
    const auto loaded = backend_->Load(bytes, "m.onnx", options);
    EXPECT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.status().code(), Code::kInvalidArgument);
    const std::string& text = loaded.status().message();
    EXPECT_THAT(text, AllOf(StartsWith("m.onnx: "), Not(HasSubstr("\n"))));
    EXPECT_LT(text.size(), 420);
    return text;
  }

  std::unique_ptr<Backend> backend_;
};

/// x -> y of a model with one input and one output.
std::vector<float> RunOne(const Session& session, int64_t batch, const std::vector<float>& x) {
  std::vector<float> y(x.size(), -1.0F);
  const std::span<const float> in[] = {x};
  const std::span<float> out[] = {y};
  const Status status = session.Run(batch, in, out);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return y;
}

/// a + mean(b) and 2 b for `items` items, no two alike.
struct Mix {
  explicit Mix(int64_t n, float seed = 0)
      : count(n),
        a(static_cast<size_t>(3 * n)),
        b(static_cast<size_t>(2 * n)),
        sum(a.size()),
        twice(b.size()) {
    std::iota(a.begin(), a.end(), seed);
    std::iota(b.begin(), b.end(), 2 * seed + 100);
  }
  Status Run(const Session& session) {
    const std::span<const float> in[] = {a, b};
    const std::span<float> out[] = {sum, twice};
    return RunItems(session, count, 5, in, out);
  }
  bool Right() const {
    for (size_t i = 0; i < a.size(); ++i) {
      const float mean = (b[i / 3 * 2] + b[i / 3 * 2 + 1]) / 2;
      if (sum[i] != a[i] + mean) return false;
    }
    for (size_t i = 0; i < b.size(); ++i) {
      if (twice[i] != 2 * b[i]) return false;
    }
    return true;
  }

  int64_t count;
  std::vector<float> a, b, sum, twice;
};

TEST_F(OnnxRuntime, NamesItsVersionAndProviders) {
  EXPECT_THAT(backend_->description(), testing::MatchesRegex("ONNX Runtime 1\\.[0-9.]+"));
  EXPECT_EQ(backend_->available_providers().back(), Provider::kCpu);
}

TEST_F(OnnxRuntime, ReadsNamesTypesAndShapesFromTheFile) {
  const auto session = Load("mix_free.onnx");
  ASSERT_EQ(session->inputs().size(), 2);
  EXPECT_EQ(session->inputs()[0].ToString(), "a float32[N,3]");
  EXPECT_EQ(session->inputs()[1].ToString(), "b float32[N,2]");
  ASSERT_EQ(session->outputs().size(), 2);
  EXPECT_EQ(session->outputs()[1].ToString(), "twice float32[N,2]");
  EXPECT_EQ(session->name(), "mix_free.onnx");
  EXPECT_EQ(session->fixed_batch(), -1);
  EXPECT_EQ(Load("mix_8.onnx")->fixed_batch(), 8);
  EXPECT_EQ(Load("half_edges.onnx")->inputs()[0].ToString(), "x float16[N,4]");
}

TEST_F(OnnxRuntime, GivesTheSameForFixedAndFreeBatchesAtEveryCount) {
  for (const char* name : {"mix_free.onnx", "mix_1.onnx", "mix_8.onnx"}) {
    const auto session = Load(name);
    for (const int64_t n : {0, 1, 3, 7, 8, 9, 16, 25}) {
      Mix mix(n);
      const Status status = mix.Run(*session);
      ASSERT_TRUE(status.ok()) << status.ToString();
      EXPECT_TRUE(mix.Right()) << name << " with " << n;
    }
  }
}

TEST_F(OnnxRuntime, RefusesAWrongBatchOrSizeAndNamesBothShapes) {
  std::vector<float> a(9), b(6), sum(9), twice(6);
  const auto run = [&](const Session& session, int64_t batch) {
    const std::span<const float> in[] = {a, b};
    const std::span<float> out[] = {sum, twice};
    return session.Run(batch, in, out);
  };
  const auto eight = Load("mix_8.onnx"), free = Load("mix_free.onnx");
  EXPECT_EQ(run(*eight, 3),
            Status(Code::kInvalidArgument,
                   "mix_8.onnx: a float32[8,3] cannot take a batch of 3 with 9 values"));
  EXPECT_EQ(run(*free, 4),
            Status(Code::kInvalidArgument,
                   "mix_free.onnx: a float32[N,3] cannot take a batch of 4 with 9 values"));
  twice.push_back(0);
  EXPECT_EQ(run(*free, 3),
            Status(Code::kInvalidArgument,
                   "mix_free.onnx: twice float32[N,2] cannot take a batch of 3 with 7 values"));
}

TEST_F(OnnxRuntime, RefusesAWrongNumberOfTensors) {
  std::vector<float> a(3), sum(3);
  const std::span<const float> in[] = {a};
  const std::span<float> out[] = {sum};
  EXPECT_EQ(Load("mix_free.onnx")->Run(1, in, out),
            Status(Code::kInvalidArgument,
                   "mix_free.onnx: 1 inputs and 1 outputs given, the model has 2 and 2"));
}

TEST_F(OnnxRuntime, RefusesToRunAModelWithAFreeSide) {
  const auto session = Load("free_side.onnx");
  std::vector<float> x(8), y(8);
  const std::span<const float> in[] = {x};
  const std::span<float> out[] = {y};
  EXPECT_THAT(session->Run(1, in, out).message(), HasSubstr("x float32[N,2,?] cannot take"));
}

TEST_F(OnnxRuntime, RefusesFilesThatAreNoModelsInOneLine) {
  EXPECT_EQ(Refusal({}), "m.onnx: the file is empty, want an ONNX model");
  const std::vector<uint8_t> model = ReadModel("weighty.onnx");
  const std::vector<std::vector<uint8_t>> files = {
      {model.begin(), model.begin() + static_cast<ptrdiff_t>(model.size() / 2)},
      std::vector<uint8_t>(4096, 0),
      std::vector<uint8_t>(4096, 0xff),
      {'R', 'I', 'F', 'F', 4, 0, 0, 0, 'W', 'A', 'V', 'E'},
      {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'},
      {'h', 'e', 'l', 'l', 'o', '\n'},
      {0}};
  for (const auto& bytes : files) {
    EXPECT_THAT(Refusal(bytes), HasSubstr("not a model ONNX Runtime 1."));
  }
}

TEST_F(OnnxRuntime, RefusesEveryShortenedFileOrLoadsItButNeverDies) {
  const std::vector<uint8_t> model = ReadModel("mix_free.onnx");
  int refused = 0;
  for (size_t size = 0; size < model.size(); ++size) {
    const auto part = std::span(model).first(size);
    if (backend_->Load(part, "m.onnx", {}).ok()) continue;
    Refusal(part);
    ++refused;
  }
  EXPECT_GE(refused, static_cast<int>(model.size()) - 4);  // a cut between two fields may parse
}

TEST_F(OnnxRuntime, RefusesAnOpsetFromTheFuture) {
  EXPECT_THAT(Refusal(ReadModel("future_opset.onnx")), HasSubstr("9999"));
}

TEST_F(OnnxRuntime, RefusesAnOperatorNobodyKnows) {
  EXPECT_THAT(Refusal(ReadModel("own_op.onnx")), HasSubstr("LipcastOwnOp"));
}

TEST_F(OnnxRuntime, RefusesTensorsThatAreNotBatchesOfFloats) {
  EXPECT_EQ(Refusal(ReadModel("integers.onnx")),
            "m.onnx: x (not float)[N,4]: want a float tensor with a batch");
  EXPECT_EQ(Refusal(ReadModel("scalar.onnx")),
            "m.onnx: x float32[]: want a float tensor with a batch");
  EXPECT_EQ(Refusal(ReadModel("nine_dimensions.onnx")),
            "m.onnx: x float32[N,1,1,1,1,1,1,1,2]: want a float tensor with a batch");
}

TEST_F(OnnxRuntime, LoadsItsWeightsFromTheBytes) {
  std::shared_ptr<const Session> session;
  {
    std::vector<uint8_t> bytes = ReadModel("weighty.onnx");
    auto loaded = backend_->Load(bytes, "m.onnx", {});
    ASSERT_TRUE(loaded.ok());
    session = *loaded;
    std::fill(bytes.begin(), bytes.end(), uint8_t{0xff});  // the caller's bytes may go
  }
  std::vector<float> x(64);
  std::iota(x.begin(), x.end(), 1.0F);
  const std::vector<float> y = RunOne(*session, 1, x);
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(y[i], 2 * x[i]);
}

TEST_F(OnnxRuntime, ConvertsFloat16AtTheEdgesOnly) {
  for (const char* name : {"half_edges.onnx", "half_inside.onnx"}) {
    const float sign = std::string(name) == "half_inside.onnx" ? -1.0F : 1.0F;
    const auto session = Load(name);
    const std::vector<float> x = {1.0F, -0.5F,   65504.0F, 0.0F,  // exact in float16
                                  0.1F, 2049.0F, 1.0e6F,   -1.0e6F};
    const std::vector<float> y = RunOne(*session, 2, x);
    EXPECT_THAT(std::span(y).first(4), ElementsAre(sign, sign * -0.5F, sign * 65504.0F, 0.0F));
    EXPECT_EQ(y[4], sign * 0.0999755859375F);  // the nearest float16
    EXPECT_EQ(y[5], sign * 2048.0F);           // ties go to even
    EXPECT_EQ(y[6], sign * kInf);
    EXPECT_EQ(y[7], sign * -kInf);
  }
}

TEST_F(OnnxRuntime, LetsNanAndInfThroughFloat16ForTheCallerToCount) {
  const auto session = Load("half_edges.onnx");
  const auto y = RunOne(*session, 1, {std::numeric_limits<float>::quiet_NaN(), kInf, -kInf, 3.0F});
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], kInf);
  EXPECT_EQ(y[2], -kInf);
  EXPECT_EQ(y[3], 3.0F);
}

TEST_F(OnnxRuntime, ServesManyThreadsOnOneSessionWithoutMixingThem) {
  for (const char* name : {"mix_free.onnx", "mix_8.onnx"}) {
    const auto session = Load(name);
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int turn = 0; turn < 50; ++turn) {
          Mix mix(1 + (t + turn) % 9, static_cast<float>(1000 * t + turn));
          if (!mix.Run(*session).ok() || !mix.Right()) ++wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0) << name;
  }
}

TEST_F(OnnxRuntime, KeepsASessionAliveAfterItsBackend) {
  const auto session = Load("mix_free.onnx");
  backend_.reset();
  Mix mix(3);
  ASSERT_TRUE(mix.Run(*session).ok());
  EXPECT_TRUE(mix.Right());
}

/// Where ONNX Runtime has no CUDA, or has it and finds no device, both of which end the same way.
class WithoutCuda : public OnnxRuntime {
 protected:
  void SetUp() override {
    OnnxRuntime::SetUp();
    if (HasFatalFailure()) return;
    options_.provider = Provider::kCuda;
    options_.policy = ProviderPolicy::kPrefer;
    if (Load("mix_free.onnx", options_)->provider() == Provider::kCuda) {
      GTEST_SKIP() << "CUDA works here";
    }
  }
  SessionOptions options_;
};

TEST_F(WithoutCuda, RequiringItIsOneErrorThatSaysWhy) {
  options_.policy = ProviderPolicy::kRequire;
  const auto loaded = backend_->Load(ReadModel("mix_free.onnx"), "m.onnx", options_);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), Code::kUnavailable);
  EXPECT_THAT(loaded.status().message(),
              AllOf(StartsWith("provider cuda is required and cannot be used: "),
                    Not(HasSubstr("\n")), Not(HasSubstr("not a model"))));
}

TEST_F(WithoutCuda, PreferringItRunsOnTheCpuAndSaysSo) {
  const auto session = Load("mix_free.onnx", options_);
  EXPECT_EQ(session->provider(), Provider::kCpu);
  Mix mix(3);
  ASSERT_TRUE(mix.Run(*session).ok());
  EXPECT_TRUE(mix.Right());
}

TEST_F(WithoutCuda, PreferringItStillRefusesABrokenModel) {
  EXPECT_THAT(Refusal(ReadModel("own_op.onnx"), options_), HasSubstr("LipcastOwnOp"));
}

/// Sets an environment variable for one test and puts the old one back.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  ~Environment() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST(LoadOnnxRuntime, UsesOnlyTheFileTheUserNamesAndSaysWhyItDoesNotLoad) {
  const Environment named("LIPCAST_ONNXRUNTIME", "/nowhere/libonnxruntime.so");
  const auto loaded = LoadOnnxRuntime();
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), Code::kUnavailable);
  EXPECT_THAT(loaded.status().message(),
              AllOf(HasSubstr("/nowhere/libonnxruntime.so: cannot open"),
                    HasSubstr("set LIPCAST_ONNXRUNTIME"), Not(HasSubstr("libonnxruntime.so.1"))));
}

TEST(LoadOnnxRuntime, RefusesAFileThatIsNoLibraryWithItsReason) {
  const std::string path = LIPCAST_SOURCE_DIR "/lipcast/inference/testdata/mix_1.onnx";
  const Environment named("LIPCAST_ONNXRUNTIME", path);
  const auto loaded = LoadOnnxRuntime();
  ASSERT_FALSE(loaded.ok());
  EXPECT_THAT(loaded.status().message(), HasSubstr(path + ": "));
}

TEST(LoadOnnxRuntime, RefusesAnotherLibraryByItsName) {
  const Environment named("LIPCAST_ONNXRUNTIME", "libm.so.6");
  EXPECT_EQ(LoadOnnxRuntime().status(),
            Status(Code::kUnavailable, "libm.so.6: no OrtGetApiBase in it, want ONNX Runtime"));
}

}  // namespace
}  // namespace lipcast::inference
