#pragma once

#include <cstdint>

#include "lipcast/inference/fake_backend.h"

namespace lipcast::generator {

/// Networks of family synctalk for tests, whose work can be read from their output. They fit the
/// shapes LoadSynctalk wants; `batch` -1 is free.
/// With inference::FakeBackend:
///   backend.models["audio_encoder.onnx"] = FakeSynctalkEncoder();
///   backend.models["generator.onnx"] = LoudnessGenerator(160);

/// Every feature is the level of the window's first `mel_frames` frames: 0 at -4, 1 at +4.
inference::FakeModel FakeSynctalkEncoder(int mel_frames = 16, int64_t batch = -1);

/// The index of the context row that is frame i's own window (row i + 1 of i - 8 ..).
inline constexpr int kFakeCentreRow = 9;

/// Gives its unmasked picture back: the paste must be invisible.
inference::FakeModel UnmaskedGenerator(int inner_px, int64_t batch = -1);
/// The unmasked picture, the mask (160 px: columns 5..154, rows 5..149) painted with the mean of
/// the centre row.
inference::FakeModel LoudnessGenerator(int inner_px, int64_t batch = -1);
/// The same with `value` (NaN, Inf, -1, 2) in the mask where the centre row is above `above`, and
/// the unmasked picture elsewhere.
inference::FakeModel BadValueGenerator(int inner_px, float value, float above = -1,
                                       int64_t batch = -1);

}  // namespace lipcast::generator
