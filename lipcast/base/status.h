#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace lipcast {

/// Why a call failed. The numbers are gRPC's, so a server passes them on unchanged.
enum class Code : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

std::string_view CodeName(Code code);

/// The outcome of a call: OK, or a code and one line that says what, where, found, wanted.
class [[nodiscard]] Status {
 public:
  Status() = default;
  /// `reason`: one word for programs that must tell failures of one code apart; a literal.
  Status(Code code, std::string message, std::string_view reason = {})
      : code_(code), message_(std::move(message)), reason_(reason) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  std::string_view reason() const { return reason_; }

  /// The same failure, seen from further out: "avatar 'anna': boxes.json: ...".
  Status Prefixed(std::string_view where) const {
    return ok() ? *this : Status(code_, std::string(where) + ": " + message_, reason_);
  }
  std::string ToString() const {
    return ok() ? "OK" : std::string(CodeName(code_)) + ": " + message_;
  }

  friend bool operator==(const Status&, const Status&) = default;

 private:
  Code code_ = Code::kOk;
  std::string message_;
  std::string_view reason_;
};

/// A value, or the Status that explains its absence. `*result` needs `result.ok()`.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit by design
    if (status_.ok()) status_ = Status(Code::kInternal, "a Result was made from an OK status");
  }
  Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit by design
  template <typename U>
  requires(std::is_convertible_v<U&&, T> && !std::is_same_v<std::decay_t<U>, T> &&
           !std::is_convertible_v<U&&, Status>) Result(U&& value)
      : value_(std::forward<U>(value)) {}  // NOLINT: implicit by design

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace lipcast

#define LC_CONCAT_INNER(a, b) a##b
#define LC_CONCAT(a, b) LC_CONCAT_INNER(a, b)

/// Returns the failed status of `expr` from the calling function.
#define LC_RETURN_IF_ERROR(expr)                                                    \
  do {                                                                              \
    if (::lipcast::Status lc_status_ = (expr); !lc_status_.ok()) return lc_status_; \
  } while (false)

/// `lhs = *expr`, or returns the failed status of `expr` from the calling function.
#define LC_ASSIGN_OR_RETURN(lhs, expr) \
  LC_ASSIGN_OR_RETURN_IMPL(LC_CONCAT(lc_result_, __LINE__), lhs, expr)
#define LC_ASSIGN_OR_RETURN_IMPL(result, lhs, expr) \
  auto result = (expr);                             \
  if (!result.ok()) return result.status();         \
  lhs = *std::move(result)

/// For our own bugs: aborts in a debug build, returns kInternal in a release build.
#ifdef NDEBUG
#define LC_ENSURE(condition)                                                                   \
  do {                                                                                         \
    if (!(condition))                                                                          \
      return ::lipcast::Status(::lipcast::Code::kInternal, "internal: not true: " #condition); \
  } while (false)
#else
#define LC_ENSURE(condition)                                                         \
  do {                                                                               \
    if (!(condition)) {                                                              \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                  \
    }                                                                                \
  } while (false)
#endif
