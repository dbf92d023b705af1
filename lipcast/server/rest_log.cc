#include "lipcast/server/rest_log.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "lipcast/server/json_text.h"

namespace lipcast::server {

std::vector<HttpRoute> LogRoutes(const RecentLog& log) {
  using Json = nlohmann::ordered_json;
  return {{"GET", "/v1/log", AnswerAtOnce([&log](const HttpCall&) {
             Json lines = Json::array();
             for (const RecentLog::Line& line : log.Lines()) {
               Json fields = Json::object();
               for (const auto& [key, value] : line.fields) fields[key] = value;
               const auto time = std::chrono::system_clock::to_time_t(line.time);
               lines.push_back({{"time", WallTime(time)},
                                {"level", LogLevelName(line.level)},
                                {"event", line.event},
                                {"fields", std::move(fields)}});
             }
             const Json all = {{"lines", std::move(lines)}};
             return JsonAnswer(all.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
           })}};
}

}  // namespace lipcast::server
