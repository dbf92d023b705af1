#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <mutex>

namespace lipcast::server {

/// The way back to the HTTP thread, for replies, streams and loads that may outlive it.
/// Thread: any.
class HttpGate {
 public:
  explicit HttpGate(boost::asio::io_context& io) : io_(&io) {}
  /// Dropped once closed.
  void Post(std::function<void()> task);
  void Close();

 private:
  std::mutex mu_;
  boost::asio::io_context* io_;  // guarded by mu_; null: closed
};

}  // namespace lipcast::server
