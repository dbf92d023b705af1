#include "lipcast/generator/fake_synctalk.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace lipcast::generator {
namespace {

using inference::ElementType;
using inference::FakeModel;

constexpr int kBands = 80, kWindowFrames = 16, kFeatures = 512, kRows = 16;

float Mean(std::span<const float> values) {
  return std::accumulate(values.begin(), values.end(), 0.0F) / static_cast<float>(values.size());
}

/// `level` of the centre row says what to paint into the mask; nothing leaves the picture.
FakeModel MaskPainter(int inner_px, int64_t batch,
                      std::function<std::optional<float>(float level)> paint) {
  const size_t side = static_cast<size_t>(inner_px), plane = side * side;
  const size_t x0 = std::max<size_t>(1, 5 * side / 160), x1 = side - x0, y1 = side - 2 * x0;
  FakeModel model;
  model.inputs = {{"input", ElementType::kFloat32, {batch, 6, inner_px, inner_px}},
                  {"audio", ElementType::kFloat32, {batch, 32, 16, 16}}};
  model.outputs = {{"output", ElementType::kFloat32, {batch, 3, inner_px, inner_px}}};
  model.run = [=, paint = std::move(paint)](int64_t n, auto inputs, auto outputs) {
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      const auto out = outputs[0].subspan(i * 3 * plane, 3 * plane);
      std::ranges::copy(inputs[0].subspan(i * 6 * plane, 3 * plane), out.begin());
      const auto row = inputs[1].subspan((i * kRows + kFakeCentreRow) * kFeatures, kFeatures);
      const std::optional<float> value = paint(Mean(row));
      if (!value) continue;
      for (size_t c = 0; c < 3; ++c) {
        for (size_t y = x0; y < y1; ++y) {
          std::fill_n(out.begin() + static_cast<ptrdiff_t>(c * plane + y * side + x0), x1 - x0,
                      *value);
        }
      }
    }
    return Status();
  };
  return model;
}

}  // namespace

FakeModel FakeSynctalkEncoder(int mel_frames, int64_t batch) {
  FakeModel model;
  model.inputs = {{"mel", ElementType::kFloat32, {batch, 1, kBands, kWindowFrames}}};
  model.outputs = {{"features", ElementType::kFloat32, {batch, kFeatures}}};
  model.run = [mel_frames](int64_t n, auto inputs, auto outputs) {
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      float sum = 0;
      for (size_t band = 0; band < kBands; ++band) {
        sum += Mean(inputs[0].subspan((i * kBands + band) * kWindowFrames,
                                      static_cast<size_t>(mel_frames)));
      }
      const float level = std::max(0.0F, (sum / kBands + 4) / 8);
      std::ranges::fill(outputs[0].subspan(i * kFeatures, kFeatures), level);
    }
    return Status();
  };
  return model;
}

FakeModel UnmaskedGenerator(int inner_px, int64_t batch) {
  return MaskPainter(inner_px, batch, [](float) { return std::nullopt; });
}

FakeModel LoudnessGenerator(int inner_px, int64_t batch) {
  return MaskPainter(inner_px, batch, [](float level) { return std::optional(level); });
}

FakeModel BadValueGenerator(int inner_px, float value, float above, int64_t batch) {
  return MaskPainter(inner_px, batch, [value, above](float level) {
    return level > above ? std::optional(value) : std::nullopt;
  });
}

}  // namespace lipcast::generator
