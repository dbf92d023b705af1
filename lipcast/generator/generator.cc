#include "lipcast/generator/generator.h"

namespace lipcast::generator {
namespace {

struct Family {
  const char* name;
  decltype(&LoadSynctalk) load;
};
constexpr Family kFamilies[] = {{"synctalk", LoadSynctalk}};

}  // namespace

std::vector<std::string> FamilyNames() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.name);
  return names;
}

Result<std::shared_ptr<const Generator>> LoadGenerator(const GeneratorFiles& files,
                                                       const inference::Backend& backend,
                                                       const inference::SessionOptions& options,
                                                       const FeatureCacheOptions& features) {
  std::string known;
  for (const Family& family : kFamilies) {
    if (files.family == family.name) return family.load(files, backend, options, features);
    known += (known.empty() ? "" : ", ") + std::string(family.name);
  }
  return Status(Code::kInvalidArgument,
                "generator.family = '" + files.family + "': want one of: " + known);
}

}  // namespace lipcast::generator
