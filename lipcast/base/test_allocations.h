#pragma once

#include <cstdint>

namespace lipcast {

/// How often any thread of this test binary called the global operator new, which
/// test_allocations.cc replaces, under sanitizers too. For tests.
int64_t AllocationCount();

}  // namespace lipcast
