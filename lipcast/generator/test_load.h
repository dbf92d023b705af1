#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "lipcast/generator/generator.h"
#include "lipcast/inference/fake_backend.h"

namespace lipcast::generator {

/// Loads a family from fake networks, by the names that `files` gives them.
inline Result<std::shared_ptr<const Generator>> LoadFakes(
    decltype(inference::FakeBackend::models) models, const GeneratorFiles& files,
    inference::Provider provider = inference::Provider::kCpu) {
  inference::FakeBackend backend;
  backend.models = std::move(models);
  inference::SessionOptions options;
  options.provider = provider;
  return LoadGenerator(files, backend, options);
}

/// The refusal's text, which must be kInvalidArgument and one line.
inline std::string Refusal(const Result<std::shared_ptr<const Generator>>& loaded) {
  EXPECT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(loaded.status().message(), testing::Not(testing::HasSubstr("\n")));
  return loaded.status().message();
}

}  // namespace lipcast::generator
