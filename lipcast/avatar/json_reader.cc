#include "lipcast/avatar/json_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "lipcast/avatar/package_path.h"

namespace lipcast::avatar {
namespace {

using nlohmann::json;

const json kNull;

/// Watches a parse for what nlohmann's parser lets pass: a key given twice, and great depth.
class StrictWatch {
 public:
  /// The parser's callback: false drops the value.
  bool operator()(int depth, json::parse_event_t event, const json& value) {
    const auto level = static_cast<size_t>(depth);
    if (!status_.ok()) return false;
    if (event == json::parse_event_t::object_start) {
      keys_.resize(std::max(keys_.size(), level + 2));
      keys_[level + 1].clear();
    }
    if (event == json::parse_event_t::key && level < keys_.size()) {
      const auto& key = value.get_ref<const std::string&>();
      if (!keys_[level].insert(key).second) {
        status_ = Status(Code::kInvalidArgument,
                         fmt::format("the key \"{}\" stands twice in one object: want it once",
                                     ShownText(key, 60)));
      }
    }
    if (depth > kMaxJsonDepth) {
      status_ = Status(Code::kInvalidArgument,
                       fmt::format("nested deeper than {} levels", kMaxJsonDepth));
    }
    return status_.ok();
  }
  const Status& status() const { return status_; }

 private:
  std::vector<std::set<std::string>> keys_;  // the keys of the open object at each depth
  Status status_;
};

}  // namespace

Result<json> ParseJson(std::string_view text) {
  StrictWatch watch;
  json value;
  try {
    value = json::parse(text.begin(), text.end(),
                        [&watch](int depth, json::parse_event_t event, json& part) {
                          return watch(depth, event, part);
                        });
  } catch (const json::exception& error) {
    return Status(Code::kInvalidArgument, "not JSON: " + ShownText(error.what(), 200));
  }
  LC_RETURN_IF_ERROR(watch.status());
  return value;
}

std::string ShownJson(const json& value) {
  return ShownText(value.dump(-1, ' ', false, json::error_handler_t::replace), 80);
}

Status WrongValue(std::string_view where, const json& value, std::string_view want) {
  return Status(Code::kInvalidArgument,
                fmt::format("{} = {}: want {}", where, ShownJson(value), want));
}

ObjectReader::ObjectReader(const json& value, std::string where,
                           std::initializer_list<std::string_view> known, Status* status)
    : value_(value), where_(std::move(where)), status_(status) {
  if (!value.is_object()) {
    Fault(WrongValue(where_.empty() ? "the whole" : where_, value, "an object {..}"));
    return;
  }
  for (const auto& [key, unused] : value.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    Fault(Status(Code::kInvalidArgument,
                 fmt::format("{}: unknown key, want one of {}", ShownText(Where(key), 80),
                             fmt::join(known, ", "))));
  }
}

bool ObjectReader::Has(std::string_view key) const {
  return value_.is_object() && value_.contains(key);
}

std::string ObjectReader::Where(std::string_view key) const {
  return where_.empty() ? std::string(key) : fmt::format("{}.{}", where_, key);
}

const json* ObjectReader::Find(std::string_view key, std::string_view want) {
  if (!status_->ok()) return nullptr;
  const auto found = value_.find(key);
  if (found != value_.end()) return &*found;
  Fault(Status(Code::kInvalidArgument, fmt::format("{}: missing, want {}", Where(key), want)));
  return nullptr;
}

int64_t ObjectReader::Int(std::string_view key, int64_t low, int64_t high) {
  const std::string want = fmt::format("{}..{}", low, high);
  const json* value = Find(key, want);
  if (value == nullptr) return low;
  if (!value->is_number_integer()) {
    Fault(WrongValue(Where(key), *value, "an integer " + want));
    return low;
  }
  // An unsigned value beyond int64 would wrap in get<int64_t>().
  const bool wraps = value->is_number_unsigned() && value->get<uint64_t>() > uint64_t{INT64_MAX};
  if (wraps || value->get<int64_t>() < low || value->get<int64_t>() > high) {
    Fault(WrongValue(Where(key), *value, want));
    return low;
  }
  return value->get<int64_t>();
}

std::string ObjectReader::String(std::string_view key, size_t min_bytes, size_t max_bytes) {
  const std::string want = fmt::format("a text of {}..{} bytes", min_bytes, max_bytes);
  const json* value = Find(key, want);
  if (value == nullptr) return {};
  if (!value->is_string()) {
    Fault(WrongValue(Where(key), *value, want));
    return {};
  }
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() < min_bytes || text.size() > max_bytes) {
    Fault(WrongValue(Where(key), *value, want));
  } else if (ShownText(text) != text) {
    Fault(WrongValue(Where(key), *value, "a text without control characters"));
  }
  return text;
}

const json& ObjectReader::Member(std::string_view key) {
  const json* value = Find(key, "a value");
  return value == nullptr ? kNull : *value;
}

void ObjectReader::Fault(Status fault) {
  if (status_->ok()) *status_ = std::move(fault);
}

}  // namespace lipcast::avatar
