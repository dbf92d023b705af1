#include "lipcast/avatar/boxes.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "lipcast/avatar/package_path.h"

namespace lipcast::avatar {
namespace {

using nlohmann::json;

std::string Shown(const Rect& box) {
  return fmt::format("[{},{},{},{}]", box.x0, box.y0, box.x1, box.y1);
}

/// Takes the parser's events one by one, so that a million boxes never become a JSON tree.
class BoxesHandler : public nlohmann::json_sax<json> {
 public:
  Boxes boxes;
  Status status;

  /// What is missing once the text has ended well.
  Status Finished() const {
    if (!saw_version_) return Refuse("schema_version: missing, want 1");
    if (!saw_boxes_) return Refuse("boxes: missing, want a list");
    return Status();
  }

  bool null() override {
    if (place_ != Place::kList) return Wrong("null");
    return AddBox(std::nullopt);
  }
  bool boolean(bool value) override { return Wrong(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return Number(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > uint64_t{INT64_MAX}) return Wrong(std::to_string(value));
    return Number(static_cast<int64_t>(value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Wrong(ShownText(text, 40));
  }
  bool string(string_t& text) override { return Wrong('"' + ShownText(text, 40) + '"'); }
  bool binary(binary_t&) override { return Wrong("binary"); }

  bool start_object(std::size_t) override {
    if (place_ != Place::kStart) return Wrong("{..}");
    place_ = Place::kObject;
    return true;
  }
  bool end_object() override { return true; }
  bool key(string_t& name) override {
    bool* const seen = name == "schema_version" ? &saw_version_
                       : name == "boxes"        ? &saw_boxes_
                                                : nullptr;
    if (seen == nullptr) {
      return Stop(ShownText(name, 60) + ": unknown key, want one of schema_version, boxes");
    }
    if (*seen) return Stop("the key \"" + name + "\" stands twice: want it once");
    *seen = true;
    place_ = seen == &saw_version_ ? Place::kVersion : Place::kBoxes;
    return true;
  }
  bool start_array(std::size_t) override {
    if (place_ == Place::kBoxes) {
      place_ = Place::kList;
      return true;
    }
    if (place_ != Place::kList) return Wrong("[..]");
    place_ = Place::kBox;
    numbers_ = 0;
    return true;
  }
  bool end_array() override {
    if (place_ == Place::kList) {
      place_ = Place::kObject;
      return true;
    }
    place_ = Place::kList;
    if (numbers_ != 4) {
      return Stop(fmt::format("boxes[{}] has {} numbers: want [x0,y0,x1,y1] or null", boxes.size(),
                              numbers_));
    }
    const Rect box{number_[0], number_[1], number_[2], number_[3]};
    if (box.empty()) {
      return Stop(
          fmt::format("boxes[{}] = {}: want x0 < x1 and y0 < y1", boxes.size(), Shown(box)));
    }
    return AddBox(box);
  }
  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    return Stop("not JSON: " + ShownText(error.what(), 200));
  }

 private:
  enum class Place { kStart, kObject, kVersion, kBoxes, kList, kBox };

  static Status Refuse(std::string message) {
    return Status(Code::kInvalidArgument, std::move(message));
  }
  bool Stop(std::string message) {
    status = Refuse(std::move(message));
    return false;
  }
  bool Wrong(const std::string& found) {
    switch (place_) {
      case Place::kStart:
      case Place::kObject:
        return Stop("the whole = " + found + ": want an object {..}");
      case Place::kVersion:
        return Stop("schema_version = " + found + ": want 1");
      case Place::kBoxes:
        return Stop("boxes = " + found + ": want a list");
      case Place::kList:
        return Stop(fmt::format("boxes[{}] = {}: want [x0,y0,x1,y1] or null", boxes.size(), found));
      case Place::kBox:
        break;
    }
    return Stop(fmt::format("boxes[{}][{}] = {}: want an integer 0..{}", boxes.size(), numbers_,
                            found, kMaxSidePx));
  }
  bool Number(int64_t value) {
    if (place_ == Place::kVersion && value == 1) {
      place_ = Place::kObject;
      return true;
    }
    if (place_ != Place::kBox || value < 0 || value > kMaxSidePx) {
      return Wrong(std::to_string(value));
    }
    if (numbers_ < 4) number_[numbers_] = static_cast<int>(value);
    ++numbers_;
    return true;
  }
  bool AddBox(const std::optional<Rect>& box) {
    if (static_cast<int64_t>(boxes.size()) >= kMaxFrames) {
      return Stop(fmt::format("boxes has more than {} entries: want at most that", kMaxFrames));
    }
    boxes.push_back(box);
    return true;
  }

  Place place_ = Place::kStart;
  bool saw_version_ = false, saw_boxes_ = false;
  int numbers_ = 0;
  int number_[4] = {};
};

}  // namespace

Result<Boxes> ParseBoxes(std::string_view text) {
  if (text.size() > kMaxBoxesBytes) {
    return Status(Code::kInvalidArgument,
                  fmt::format("has {} bytes: want at most {}", text.size(), kMaxBoxesBytes));
  }
  BoxesHandler handler;
  if (!json::sax_parse(text.begin(), text.end(), &handler)) return handler.status;
  LC_RETURN_IF_ERROR(handler.Finished());
  return std::move(handler.boxes);
}

Status CheckBoxes(const Boxes& boxes, int64_t frame_count, int width, int height) {
  if (static_cast<int64_t>(boxes.size()) != frame_count) {
    return Status(Code::kInvalidArgument, fmt::format("boxes has {} entries: want {} (frame_count)",
                                                      boxes.size(), frame_count));
  }
  for (size_t i = 0; i < boxes.size(); ++i) {
    if (!boxes[i].has_value()) continue;
    const Rect& box = *boxes[i];
    if (box.x0 < 0 || box.y0 < 0 || box.x1 > width || box.y1 > height) {
      return Status(Code::kInvalidArgument, fmt::format("boxes[{}] = {}: want it inside {}x{}", i,
                                                        Shown(box), width, height));
    }
  }
  return Status();
}

std::string NoFaceNote(const Boxes& boxes) {
  constexpr size_t kMaxRanges = 8;
  size_t without = 0, ranges = 0;
  std::string list;
  for (size_t i = 0; i < boxes.size(); ++i) {
    if (boxes[i].has_value()) continue;
    const size_t first = i;
    while (i + 1 < boxes.size() && !boxes[i + 1].has_value()) ++i;
    without += i - first + 1;
    if (++ranges > kMaxRanges) continue;
    list += ranges == 1 ? "" : ", ";
    list += first == i ? std::to_string(first) : fmt::format("{}-{}", first, i);
  }
  if (without == 0) return {};
  if (ranges > kMaxRanges) list += ", ..";
  return fmt::format("{} of {} frames have no face: {}", without, boxes.size(), list);
}

}  // namespace lipcast::avatar
