#include "lipcast/server/grpc_request_counter.h"

#include <string>
#include <string_view>
#include <utility>

#include "lipcast/base/status.h"
#include "lipcast/server/prometheus_metrics.h"

namespace lipcast::server {
namespace {

using grpc::experimental::InterceptionHookPoints;

class Counter final : public grpc::experimental::Interceptor {
 public:
  Counter(Metrics& metrics, const char* method) : metrics_(metrics), method_(method) {}
  ~Counter() override { Count(Code::kCancelled); }
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      Count(static_cast<Code>(methods->GetSendStatus().error_code()));
    }
    methods->Proceed();
  }

 private:
  void Count(Code code) {
    if (std::exchange(counted_, true)) return;
    metrics_.Count(Labelled("requests_total",
                            {{"interface", "grpc"}, {"method", method_}, {"code", CodeName(code)}}),
                   1);
  }

  Metrics& metrics_;
  const std::string method_;
  bool counted_ = false;
};

class Factory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(Metrics& metrics) : metrics_(metrics) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return new Counter(metrics_, info->method());
  }

 private:
  Metrics& metrics_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> CountGrpcRequests(
    Metrics& metrics) {
  return std::make_unique<Factory>(metrics);
}

}  // namespace lipcast::server
