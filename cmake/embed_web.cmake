# cmake -DOUT=web_files.cc -DFOLDER=web "-DNAMES=index.html,page.js" -P embed_web.cmake
# writes WebFiles() of lipcast/server/web_page.h: the files as they are, byte for byte.
string(REPLACE "," ";" names "${NAMES}")
set(arrays "")
set(entries "")
set(number 0)
foreach(name IN LISTS names)
  file(READ ${FOLDER}/${name} hex HEX)
  file(SHA256 ${FOLDER}/${name} sum)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "const unsigned char kFile${number}[] = {${bytes}};\n")
  string(APPEND entries "      {\"${name}\", Text(kFile${number}), \"${sum}\"},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT} "#include \"lipcast/server/web_page.h\"

namespace lipcast::server {
namespace {

${arrays}
template <size_t size>
std::string_view Text(const unsigned char (&bytes)[size]) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

const std::vector<WebFile>& WebFiles() {
  static const std::vector<WebFile> files = {
${entries}  };
  return files;
}

}  // namespace lipcast::server
")
