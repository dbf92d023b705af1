#include "lipcast/server/recent_log.h"

#include "lipcast/avatar/package_path.h"

namespace lipcast::server {

void RecentLog::Log(LogLevel level, std::string_view event, std::span<const LogField> fields) {
  next_.Log(level, event, fields);
  if (level < LogLevel::kWarning) return;
  Line line{now_(), level, std::string(event), {}};
  line.fields.reserve(fields.size());
  for (const LogField& field : fields) {
    line.fields.push_back({std::string(field.key), avatar::ShownText(field.value, kValueBytes)});
  }
  const std::lock_guard lock(mu_);
  lines_.push_front(std::move(line));
  if (lines_.size() > kKept) lines_.pop_back();
}

std::vector<RecentLog::Line> RecentLog::Lines() const {
  const std::lock_guard lock(mu_);
  return {lines_.begin(), lines_.end()};
}

}  // namespace lipcast::server
