#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "lipcast/inference/fake_backend.h"
#include "lipcast/inference/session.h"

namespace lipcast::inference {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

/// a [B,3] -> 10 a [B,3], b [B,2] -> -b [B,2]; writes down what it was given.
struct Recorder {
  explicit Recorder(int64_t batch) {
    model.inputs = {{"a", ElementType::kFloat32, {batch, 3}},
                    {"b", ElementType::kFloat32, {batch, 2}}};
    model.outputs = {{"ten", ElementType::kFloat32, {batch, 3}},
                     {"minus", ElementType::kFloat32, {batch, 2}}};
    model.run = [this](int64_t n, auto inputs, auto outputs) {
      batches.push_back(n);
      given_a.emplace_back(inputs[0].begin(), inputs[0].end());
      for (size_t i = 0; i < inputs[0].size(); ++i) outputs[0][i] = 10 * inputs[0][i];
      for (size_t i = 0; i < inputs[1].size(); ++i) outputs[1][i] = -inputs[1][i];
      return batches.size() == fail_at ? Status(Code::kInternal, "broke") : Status();
    };
  }

  FakeModel model;
  size_t fail_at = 0;  ///< the run that fails, from 1; 0 = none
  std::vector<int64_t> batches;
  std::vector<std::vector<float>> given_a;
};

struct Items {
  explicit Items(int64_t n)
      : count(n),
        a(static_cast<size_t>(3 * n)),
        b(static_cast<size_t>(2 * n)),
        ten(a.size() + 3, -99.0F),  // one item more than may be written
        minus(b.size() + 2, -99.0F) {
    std::iota(a.begin(), a.end(), 1.0F);
    std::iota(b.begin(), b.end(), 1000.0F);
  }
  Status Run(const Session& session, int64_t max_batch) {
    const std::span<const float> in[] = {a, b};
    const std::span<float> out[] = {std::span(ten).first(a.size()),
                                    std::span(minus).first(b.size())};
    return RunItems(session, count, max_batch, in, out);
  }
  bool Right() const {
    for (size_t i = 0; i < a.size(); ++i) {
      if (ten[i] != 10 * a[i]) return false;
    }
    for (size_t i = 0; i < b.size(); ++i) {
      if (minus[i] != -b[i]) return false;
    }
    return ten.back() == -99.0F && minus.back() == -99.0F;
  }

  int64_t count;
  std::vector<float> a, b, ten, minus;
};

TEST(RunItems, ComputesEveryItemOnceAtEveryModelBatchAndCount) {
  for (const int64_t batch : {-1, 1, 2, 8, 25}) {
    for (const int64_t max_batch : {1, 4, 8}) {
      for (int64_t n = 0; n <= 33; ++n) {
        Recorder recorder(batch);
        Items items(n);
        ASSERT_TRUE(items.Run(FakeSession(recorder.model, "model"), max_batch).ok());
        ASSERT_TRUE(items.Right()) << n << " items, model batch " << batch;
      }
    }
  }
}

TEST(RunItems, FillsAFixedBatchAndPadsTheLastWithItsLastItem) {
  Recorder recorder(8);
  Items items(11);
  ASSERT_TRUE(items.Run(FakeSession(recorder.model, "model"), 3).ok());
  EXPECT_THAT(recorder.batches, ElementsAre(8, 8));
  const std::vector<float>& last = recorder.given_a[1];
  ASSERT_EQ(last.size(), 24);
  for (size_t item = 2; item < 8; ++item) {
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_EQ(last[3 * item + k], items.a[30 + k]) << "padding item " << item;
    }
  }
}

TEST(RunItems, PadsNothingWhenTheCountIsAWholeNumberOfBatches) {
  Recorder recorder(8);
  Items items(16);
  ASSERT_TRUE(items.Run(FakeSession(recorder.model, "model"), 1).ok());
  EXPECT_THAT(recorder.batches, ElementsAre(8, 8));
}

TEST(RunItems, SplitsAFreeBatchAtTheMostAskedFor) {
  Recorder recorder(-1);
  Items items(10);
  ASSERT_TRUE(items.Run(FakeSession(recorder.model, "model"), 4).ok());
  EXPECT_THAT(recorder.batches, ElementsAre(4, 4, 2));
}

TEST(RunItems, RunsOneByOneWhenTheMostIsBelowOne) {
  for (const int64_t most : {0, -3}) {
    Recorder recorder(-1);
    Items items(3);
    ASSERT_TRUE(items.Run(FakeSession(recorder.model, "model"), most).ok());
    EXPECT_THAT(recorder.batches, ElementsAre(1, 1, 1));
  }
}

TEST(RunItems, RunsNothingForNoItems) {
  Recorder recorder(8);
  Items items(0);
  EXPECT_TRUE(items.Run(FakeSession(recorder.model, "model"), 8).ok());
  EXPECT_THAT(recorder.batches, ElementsAre());
}

TEST(RunItems, StopsAtTheFirstFailureAndPassesItOn) {
  for (const int64_t batch : {-1, 4}) {
    Recorder recorder(batch);
    recorder.fail_at = 2;
    Items items(11);
    EXPECT_EQ(items.Run(FakeSession(recorder.model, "model"), 4),
              Status(Code::kInternal, "model: broke"));
    EXPECT_EQ(recorder.batches.size(), 2);
  }
}

TEST(RunItems, RefusesSpansThatDoNotHoldTheItemsAndNamesBothSizes) {
  Recorder recorder(-1);
  const FakeSession session(recorder.model, "model.onnx");
  std::vector<float> a(9), b(6), ten(9), minus(6);
  const auto run = [&](int64_t items) {
    const std::span<const float> in[] = {a, b};
    const std::span<float> out[] = {ten, minus};
    return RunItems(session, items, 8, in, out);
  };
  ASSERT_TRUE(run(3).ok());
  EXPECT_EQ(run(4), Status(Code::kInvalidArgument,
                           "model.onnx: a float32[N,3] cannot take 4 items with 9 values"));
  EXPECT_EQ(run(2).code(), Code::kInvalidArgument);
  EXPECT_EQ(run(-1).code(), Code::kInvalidArgument);
  minus.pop_back();
  EXPECT_EQ(run(3), Status(Code::kInvalidArgument,
                           "model.onnx: minus float32[N,2] cannot take 3 items with 5 values"));
  EXPECT_EQ(recorder.batches.size(), 1);  // nothing ran on a wrong size
}

TEST(RunItems, RefusesAModelWhoseItemSizeIsFree) {
  Recorder recorder(-1);
  recorder.model.inputs[0].dims = {-1, -1};
  Items items(2);
  EXPECT_EQ(items.Run(FakeSession(recorder.model, "model.onnx"), 8),
            Status(Code::kInvalidArgument,
                   "model.onnx: a float32[N,?] cannot take 2 items with 6 values"));
}

TEST(Session, HasTheFixedBatchOfAnyOfItsInputs) {
  Recorder free(-1), eight(8), mixed(-1);
  mixed.model.inputs[1].dims[0] = 4;
  EXPECT_EQ(FakeSession(free.model, "").fixed_batch(), -1);
  EXPECT_EQ(FakeSession(eight.model, "").fixed_batch(), 8);
  EXPECT_EQ(FakeSession(mixed.model, "").fixed_batch(), 4);
}

TEST(TensorInfo, PrintsNameTypeAndDimensions) {
  const TensorInfo half{"audio", ElementType::kFloat16, {-1, 32, -1, 16}};
  EXPECT_EQ(half.ToString(), "audio float16[N,32,?,16]");
  EXPECT_EQ((TensorInfo{"ids", ElementType::kOther, {1}}).ToString(), "ids (not float)[1]");
  EXPECT_EQ(DimsToString({}), "[]");
}

TEST(TensorInfo, CountsTheElementsOfOneItem) {
  EXPECT_EQ(ItemElements({"x", ElementType::kFloat32, {-1, 6, 160, 160}}), 153'600);
  EXPECT_EQ(ItemElements({"x", ElementType::kFloat32, {8}}), 1);
  EXPECT_EQ(ItemElements({"x", ElementType::kFloat32, {1, -1, 3}}), -1);
  EXPECT_EQ(ItemElements({"x", ElementType::kFloat32, {1, 3, 0}}), 0);
}

TEST(TensorInfo, HasNoElementCountBeyondSixtyThreeBits) {
  const int64_t large = int64_t{1} << 32;
  EXPECT_EQ(ItemElements({"x", ElementType::kFloat32, {1, large, large}}), -1);
}

TEST(Provider, IsNamedAndParsed) {
  for (const Provider provider : {Provider::kCpu, Provider::kCuda}) {
    const auto parsed = ParseProvider(ProviderName(provider));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, provider);
  }
  EXPECT_EQ(ParseProvider("tpu").status(),
            Status(Code::kInvalidArgument, "provider 'tpu': want cpu or cuda"));
}

TEST(FakeSession, RefusesABatchThatDoesNotFit) {
  Recorder recorder(4);
  const FakeSession session(recorder.model, "fake");
  std::vector<float> a(9), b(6), ten(9), minus(6);
  const std::span<const float> in[] = {a, b};
  const std::span<float> out[] = {ten, minus};
  EXPECT_THAT(session.Run(3, in, out).message(), HasSubstr("fake: a batch of 3"));
  EXPECT_EQ(recorder.model.counts->runs, 0);
}

}  // namespace
}  // namespace lipcast::inference
