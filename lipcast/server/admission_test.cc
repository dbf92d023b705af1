#include "lipcast/server/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace lipcast::server {
namespace {

using testing::HasSubstr;

using Tickets = std::vector<std::unique_ptr<Admission::Ticket>>;

const StreamClass kAnna{"anna", 1, 0, 1280, 720, 25, 1};

/// Admits one at 25 frames/s of so many seconds each.
Status Open(Admission& admission, double seconds_per_frame, Tickets* tickets,
            StreamClass stream = kAnna) {
  stream.version = static_cast<uint64_t>(seconds_per_frame * 1e6);
  auto ticket = admission.Reserve();
  if (!ticket.ok()) return ticket.status();
  LC_RETURN_IF_ERROR((*ticket)->Admit(stream, 25 * seconds_per_frame));
  tickets->push_back(*std::move(ticket));
  return {};
}

TEST(Admission, AdmitsWhatTheWorkersHaveTimeForAndNoMore) {
  NullMetrics metrics;
  Admission admission({2, 0, 0.85}, metrics);
  Tickets tickets;
  // 25 frames/s of 12 ms are 15 % of two workers: five fit into 85 %.
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Open(admission, 0.012, &tickets).ok()) << i;
  EXPECT_NEAR(admission.report().frame_seconds, 0.012, 1e-9);
  const Status sixth = Open(admission, 0.012, &tickets);
  EXPECT_EQ(sixth.code(), Code::kResourceExhausted);
  EXPECT_THAT(sixth.message(),
              HasSubstr("needs 15 % of the workers' time, 10 % is left beside 5 sessions"));
  EXPECT_EQ(admission.report().sessions, 5) << "who was refused holds nothing";
  {
    Tickets smaller;
    EXPECT_TRUE(Open(admission, 0.007, &smaller).ok());
  }
  tickets.pop_back();
  EXPECT_TRUE(Open(admission, 0.012, &tickets).ok());
  tickets.clear();
  EXPECT_EQ(admission.report().sessions, 0);
  EXPECT_EQ(admission.report().load, 0);
}

TEST(Admission, WhatWasMeasuredTakesThePlaceOfTheStartValueForThoseThatRunToo) {
  NullMetrics metrics;
  Admission admission({2, 0, 0.85}, metrics);
  Tickets tickets;
  const auto open = [&] { return Open(admission, 0.012, &tickets); };
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(open().ok());
  EXPECT_NEAR(admission.report().load, 0.45, 1e-9);
  // They take twice as long: three ask for 90 %, and nobody else comes in.
  for (int second = 0; second < 100; ++second) tickets[0]->Observe(25 * 0.024);
  EXPECT_NEAR(admission.report().load, 0.9, 1e-3);
  EXPECT_EQ(admission.report().headroom, 0);
  EXPECT_EQ(open().code(), Code::kResourceExhausted);
  // They take a third: twelve fit, whatever the start value says.
  for (int second = 0; second < 200; ++second) tickets[1]->Observe(25 * 0.005);
  while (open().ok()) {
  }
  EXPECT_EQ(tickets.size(), 13);
  // What was learnt outlives the streams it was learnt from.
  tickets.clear();
  ASSERT_TRUE(open().ok());
  EXPECT_NEAR(admission.report().load, 25 * 0.005 / 2, 1e-3);
}

TEST(Admission, OneSlowSecondDoesNotShutTheDoor) {
  NullMetrics metrics;
  Admission admission({2, 0, 0.85}, metrics);
  Tickets tickets;
  ASSERT_TRUE(Open(admission, 0.012, &tickets).ok());
  for (int second = 0; second < 20; ++second) tickets[0]->Observe(0.3);
  tickets[0]->Observe(0.9);
  EXPECT_NEAR(admission.report().load, (0.3 + 0.06) / 2, 1e-3);
}

TEST(Admission, ClassesAreMeasuredApart) {
  NullMetrics metrics;
  Admission admission({2, 0, 0.85}, metrics);
  Tickets tickets;
  ASSERT_TRUE(Open(admission, 0.010, &tickets).ok());
  StreamClass png = kAnna;
  png.codec = 1;
  ASSERT_TRUE(Open(admission, 0.010, &tickets, png).ok());
  for (int second = 0; second < 100; ++second) tickets[1]->Observe(25 * 0.030);
  EXPECT_NEAR(admission.report().load, 25 * 0.040 / 2, 1e-3);
}

TEST(Admission, RemembersNoMoreClassesThanItsLimit) {
  NullMetrics metrics;
  Admission admission({1, 0, 1e9}, metrics);
  Tickets tickets;
  StreamClass stream = kAnna;
  for (stream.width = 1; stream.width < 2000; ++stream.width) {
    tickets.clear();
    ASSERT_TRUE(Open(admission, 0.01, &tickets, stream).ok());
    ASSERT_LE(admission.classes(), 256);
  }
  EXPECT_NEAR(admission.report().load, 0.25, 1e-9);
  tickets[0]->Observe(0.5);  // its class is there
}

TEST(Admission, LetsTheFirstInWhateverItCosts) {
  NullMetrics metrics;
  Admission admission({1, 0, 0.85}, metrics);
  Tickets tickets;
  EXPECT_TRUE(Open(admission, 1.0, &tickets).ok());
  EXPECT_EQ(Open(admission, 0.001, &tickets).code(), Code::kResourceExhausted);
}

TEST(Admission, FiftyAtOnceWithFivePlacesAreFiveAlsoWhileTheyAreStillOpening) {
  NullMetrics metrics;
  Admission admission({8, 5, 0.85}, metrics);
  Tickets tickets(50);
  {
    std::vector<std::jthread> threads;
    for (auto& ticket : tickets) {
      threads.emplace_back([&] {
        auto got = admission.Reserve();
        if (got.ok()) ticket = *std::move(got);
      });
    }
  }
  EXPECT_EQ(std::ranges::count_if(tickets, [](const auto& t) { return t != nullptr; }), 5);
  EXPECT_EQ(admission.report().sessions, 5);
}

TEST(Admission, AfterDrainNobodyComesIn) {
  NullMetrics metrics;
  Admission admission({1, 0, 0.85}, metrics);
  const auto opening = admission.Reserve();
  ASSERT_TRUE(opening.ok());
  admission.Drain();
  EXPECT_EQ(admission.Reserve().status().code(), Code::kUnavailable);
  EXPECT_EQ((*opening)->Admit(kAnna, 0.1).code(), Code::kUnavailable);
}

}  // namespace
}  // namespace lipcast::server
