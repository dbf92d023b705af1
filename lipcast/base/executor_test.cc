#include "lipcast/base/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <latch>
#include <new>
#include <numeric>
#include <stdexcept>

namespace lipcast {
namespace {

using std::chrono::milliseconds;

TimePoint At(int ms) { return TimePoint{} + milliseconds(ms); }

/// Holds every worker of an executor until Open(), so that what is posted meanwhile queues up.
class Hold {
 public:
  explicit Hold(Executor& executor) : latches_(std::make_shared<Latches>(executor.workers())) {
    for (int i = 0; i < executor.workers(); ++i) {
      executor.Post(TimePoint::min(), [latches = latches_](int) {
        latches->started.count_down();
        latches->open.wait();
      });
    }
    latches_->started.wait();
  }
  void Open() { latches_->open.count_down(); }

 private:
  struct Latches {
    explicit Latches(int workers) : started(workers) {}
    std::latch started, open{1};
  };
  std::shared_ptr<Latches> latches_;  // shared: a worker may be the last to look at it
};

TEST(Executor, RunsEarliestDeadlineFirstAndEqualOnesInOrder) {
  std::vector<int> order;
  {
    std::latch done(1);
    Executor executor(1);
    Hold hold(executor);
    const int deadlines[] = {50, 10, 30, 10, 50, 20, 10};
    for (int i = 0; i < 7; ++i) {
      executor.Post(At(deadlines[i]), [&order, i](int) { order.push_back(i); });
    }
    EXPECT_EQ(executor.queued(), 7);
    hold.Open();
    executor.Post(TimePoint::max(), [&](int) { done.count_down(); });
    done.wait();
    EXPECT_EQ(executor.queued(), 0);
  }
  EXPECT_THAT(order, testing::ElementsAre(1, 3, 6, 5, 2, 0, 4));
}

TEST(Executor, RunsOnEveryWorkerAtOnceAndTellsEachItsIndex) {
  constexpr int kWorkers = 8;
  std::vector<std::atomic<int>> seen(kWorkers);
  {
    std::barrier together(kWorkers);  // passes only if all eight run at the same time
    Executor executor(kWorkers);
    EXPECT_EQ(executor.workers(), kWorkers);
    for (int i = 0; i < kWorkers; ++i) {
      executor.Post(At(0), [&](int worker) {
        together.arrive_and_wait();
        ++seen[static_cast<size_t>(worker)];
      });
    }
  }
  for (const auto& count : seen) EXPECT_EQ(count, 1);
}

TEST(Executor, HasOneWorkerAtLeast) {
  for (const int workers : {1, 0, -3}) {
    std::atomic<int> ran = 0;
    {
      Executor executor(workers);
      EXPECT_EQ(executor.workers(), 1);
      executor.Post(At(0), [&](int worker) { ran += worker == 0; });
    }
    EXPECT_EQ(ran, 1);
  }
}

TEST(Executor, RunsEverythingPostedBeforeItEndsAlsoWhatTasksPost) {
  std::atomic<int> ran = 0;
  {
    Executor executor(3);
    Hold hold(executor);
    for (int i = 0; i < 100; ++i) {
      executor.Post(At(i), [&](int) {
        ++ran;
        executor.Post(At(0), [&](int) { ++ran; });
      });
    }
    hold.Open();
  }
  EXPECT_EQ(ran, 200);
}

TEST(Executor, LetsGoOfWhatATaskOwnsBeforeTheNextTask) {
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = owned;
  std::latch done(1);
  bool gone = false;
  Executor executor(1);
  Hold hold(executor);
  executor.Post(At(1), [owned = std::move(owned)](int) {});
  executor.Post(At(2), [&](int) {
    gone = watch.expired();
    done.count_down();
  });
  hold.Open();
  done.wait();
  EXPECT_TRUE(gone);
}

TEST(Executor, TellsWhatATaskThrewAndTheWorkerGoesOn) {
  std::vector<std::string> heard;
  bool later = false;
  {
    Executor executor(1, [&](const char* what) { heard.emplace_back(what); });
    executor.Post(At(0), [](int) { throw std::runtime_error("a bad day"); });
    executor.Post(At(1), [](int) { throw std::bad_alloc(); });
    executor.Post(At(2), [&](int) { later = true; });
  }
  EXPECT_THAT(heard, testing::ElementsAre("a bad day", std::bad_alloc().what()));
  EXPECT_TRUE(later);
}

TEST(Strand, GoesOnBehindATaskThatThrew) {
  std::vector<std::string> heard;
  bool later = false;
  {
    Executor executor(1, [&](const char* what) { heard.emplace_back(what); });
    const auto strand = Strand::Create(executor);
    strand->Post(At(0), [](int) { throw std::runtime_error("a bad day"); });
    strand->Post(At(1), [&](int) { later = true; });
  }
  EXPECT_THAT(heard, testing::ElementsAre("a bad day"));
  EXPECT_TRUE(later);
}

TEST(ExecutorDeathTest, AnExceptionThatNobodyHearsOfEndsTheProgramLoudly) {
  const auto run = [] {
    Executor executor(1);
    executor.Post(At(0), [](int) { throw std::runtime_error("a bad day"); });
  };
  EXPECT_DEATH(run(), "a bad day");
}

TEST(Contain, PassesResultsOnAndTurnsExceptionsIntoStatuses) {
  EXPECT_TRUE(Contain([] { return Status(); }).ok());
  EXPECT_EQ(*Contain([]() -> Result<int> { return 7; }), 7);
  EXPECT_EQ(Contain([]() -> Result<int> { throw std::bad_alloc(); }).status(),
            Status(Code::kResourceExhausted, "out of memory"));
  EXPECT_EQ(Contain([]() -> Status { throw std::out_of_range("row 9 of 8"); }),
            Status(Code::kInternal, "internal: a task threw: row 9 of 8"));
}

TEST(Executor, TakesTasksFromManyThreads) {
  std::atomic<int> ran = 0;
  {
    Executor executor(4);
    std::vector<std::thread> writers;
    for (int w = 0; w < 4; ++w) {
      writers.emplace_back([&] {
        for (int i = 0; i < 500; ++i) executor.Post(At(i), [&](int) { ++ran; });
      });
    }
    for (std::thread& writer : writers) writer.join();
  }
  EXPECT_EQ(ran, 2000);
}

TEST(ParallelFor, CoversEveryRowOnceOverEightWorkers) {
  Executor executor(8);
  for (const int rows : {320, 321, 100, 1920}) {
    std::vector<std::atomic<int>> covered(static_cast<size_t>(rows));
    executor.ParallelFor(rows, [&](int row) { ++covered[static_cast<size_t>(row)]; });
    for (int row = 0; row < rows; ++row) {
      EXPECT_EQ(covered[static_cast<size_t>(row)], 1) << row << " of " << rows;
    }
  }
}

TEST(ParallelFor, HasFinishedEveryIndexWhenItReturns) {
  Executor executor(4);
  for (int turn = 0; turn < 200; ++turn) {
    std::vector<int> written(37);  // not atomic: the return must order these writes before the read
    executor.ParallelFor(37, [&](int i) { written[static_cast<size_t>(i)] = i + 1; });
    EXPECT_EQ(std::accumulate(written.begin(), written.end(), 0), 37 * 38 / 2);
  }
}

TEST(ParallelFor, RunsNothingForNoIndices) {
  Executor executor(2);
  for (const int count : {0, -1}) {
    executor.ParallelFor(count, [&](int) { ADD_FAILURE() << "ran"; });
  }
  EXPECT_EQ(executor.queued(), 0);
}

TEST(ParallelFor, IsDoneByTheCallerWhenEveryWorkerIsBusy) {
  std::atomic<int> ran = 0;
  Executor executor(2);
  Hold hold(executor);
  const std::thread::id caller = std::this_thread::get_id();
  {
    const auto body = std::make_unique<std::function<void(int)>>([&](int) {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      ++ran;
    });
    executor.ParallelFor(50, *body);
  }
  EXPECT_EQ(ran, 50);
  hold.Open();  // the late helpers find nothing to do, and the body gone
}

TEST(ParallelFor, SharesTheWorkWithIdleWorkers) {
  std::barrier together(4);  // three workers and the caller, each inside the body at once
  Executor executor(3);
  executor.ParallelFor(4, [&](int) { together.arrive_and_wait(); });
}

TEST(ParallelFor, WorksInsideATaskOfTheOnlyWorker) {
  std::atomic<int> ran = 0;
  std::latch done(1);
  Executor executor(1);
  executor.Post(At(0), [&](int) {
    executor.ParallelFor(10, [&](int) { executor.ParallelFor(10, [&](int) { ++ran; }); });
    done.count_down();
  });
  done.wait();
  EXPECT_EQ(ran, 100);
}

TEST(ParallelFor, ServesManyCallersAtOnce) {
  Executor executor(4);
  std::vector<std::thread> callers;
  std::atomic<int> wrong = 0;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int turn = 0; turn < 50; ++turn) {
        std::atomic<int> sum = 0;
        executor.ParallelFor(20, [&](int i) { sum += i; });
        wrong += sum != 190;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Strand, RunsItsTasksInOrderOneAtATimeWhateverTheirDeadlines) {
  std::vector<int> order;  // not atomic: a strand is one at a time
  {
    Executor executor(4);
    const auto strand = Strand::Create(executor);
    for (int i = 0; i < 1000; ++i) {
      strand->Post(At(1000 - i), [&order, i](int) { order.push_back(i); });
    }
  }
  std::vector<int> want(1000);
  std::iota(want.begin(), want.end(), 0);
  EXPECT_EQ(order, want);
}

TEST(Strand, LetsOtherStrandsRunBesideIt) {
  std::barrier together(2);
  std::latch done(2);
  Executor executor(2);
  const auto a = Strand::Create(executor), b = Strand::Create(executor);
  for (const auto& strand : {a, b}) {
    strand->Post(At(0), [&](int) {
      together.arrive_and_wait();  // passes only if both run at the same time
      done.count_down();
    });
  }
  done.wait();
}

TEST(Strand, GivesWayToAnEarlierDeadlineBetweenItsTasks) {
  std::vector<std::string> order;
  {
    Executor executor(1);
    Hold hold(executor);
    const auto slow = Strand::Create(executor), urgent = Strand::Create(executor);
    for (const char* name : {"slow 1", "slow 2", "slow 3"}) {
      slow->Post(At(20), [&order, name](int) { order.emplace_back(name); });
    }
    urgent->Post(At(30), [&order](int) { order.emplace_back("later"); });
    slow->Post(At(40), [&order](int) { order.emplace_back("slow 4"); });
    hold.Open();
  }
  EXPECT_THAT(order, testing::ElementsAre("slow 1", "slow 2", "slow 3", "later", "slow 4"));
}

TEST(Strand, TakesTasksFromItsOwnTasksAndFromManyThreads) {
  int ran = 0;  // not atomic: a strand is one at a time
  {
    std::latch first_half(1);
    Executor executor(4);
    const auto strand = Strand::Create(executor);
    std::vector<std::thread> writers;
    for (int w = 0; w < 4; ++w) {
      writers.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          strand->Post(At(i), [&, inner = std::weak_ptr(strand)](int) {
            ++ran;
            if (const auto self = inner.lock()) self->Post(At(0), [&](int) { ++ran; });
          });
        }
      });
    }
    for (std::thread& writer : writers) writer.join();
    strand->Post(At(0), [&](int) { first_half.count_down(); });
    first_half.wait();
  }
  EXPECT_EQ(ran, 1600);
}

TEST(Strand, RunsWhatIsQueuedAlsoWhenItsOwnerHasGone) {
  std::atomic<int> ran = 0;
  {
    Executor executor(2);
    Hold hold(executor);
    auto strand = Strand::Create(executor);
    for (int i = 0; i < 10; ++i) strand->Post(At(i), [&](int) { ++ran; });
    const std::weak_ptr<Strand> watch = strand;
    strand.reset();
    EXPECT_FALSE(watch.expired());
    hold.Open();
  }
  EXPECT_EQ(ran, 10);
}

}  // namespace
}  // namespace lipcast
