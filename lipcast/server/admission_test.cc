#include "lipcast/server/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace lipcast::server {
namespace {

using testing::HasSubstr;

TEST(Admission, AdmitsWhatTheWorkersHaveTimeForAndNoMore) {
  NullMetrics metrics;
  Admission admission({2, 0, 0.85}, metrics);
  std::vector<std::unique_ptr<Admission::Ticket>> tickets;
  // 25 frames/s of 12 ms are 15 % of two workers: five fit into 85 %.
  for (int i = 0; i < 5; ++i) {
    auto ticket = admission.Admit(25, 0.012);
    ASSERT_TRUE(ticket.ok()) << i;
    tickets.push_back(*std::move(ticket));
  }
  const auto sixth = admission.Admit(25, 0.012);
  EXPECT_EQ(sixth.status().code(), Code::kResourceExhausted);
  EXPECT_THAT(sixth.status().message(), HasSubstr("needs 15 % of the workers' time, 10 % is left"));
  EXPECT_TRUE(admission.Admit(25, 0.007).ok());  // a smaller one fits, and is gone again
  tickets.pop_back();
  EXPECT_TRUE(admission.Admit(25, 0.012).ok());
  tickets.clear();
  EXPECT_EQ(admission.report().sessions, 0);
  EXPECT_EQ(admission.report().load, 0);
}

TEST(Admission, LetsTheFirstInWhateverItCosts) {
  NullMetrics metrics;
  Admission admission({1, 0, 0.85}, metrics);
  const auto first = admission.Admit(25, 1.0);
  EXPECT_TRUE(first.ok());
  EXPECT_EQ(admission.Admit(1, 0.001).status().code(), Code::kResourceExhausted);
}

TEST(Admission, FiftyAtOnceWithFivePlacesAreFive) {
  NullMetrics metrics;
  Admission admission({8, 5, 0.85}, metrics);
  std::vector<std::unique_ptr<Admission::Ticket>> tickets(50);
  {
    std::vector<std::jthread> threads;
    for (auto& ticket : tickets) {
      threads.emplace_back([&] {
        auto got = admission.Admit(25, 0.001);
        if (got.ok()) ticket = *std::move(got);
      });
    }
  }
  EXPECT_EQ(
      std::count_if(tickets.begin(), tickets.end(), [](const auto& t) { return t != nullptr; }), 5);
  EXPECT_EQ(admission.report().sessions, 5);
}

TEST(Admission, AfterDrainNobodyComesIn) {
  NullMetrics metrics;
  Admission admission({1, 0, 0.85}, metrics);
  admission.Drain();
  EXPECT_EQ(admission.Admit(25, 0.001).status().code(), Code::kUnavailable);
}

}  // namespace
}  // namespace lipcast::server
