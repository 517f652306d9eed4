// Target `parse`: an XML document parsed from memory.
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "tinyxml.h"

constexpr std::size_t kMaximum = 64 * 1024;
constexpr int kUnusableProof = 65;

int main(int count, char** arguments) {
  if (count != 2) return kUnusableProof;
  std::ifstream file(arguments[1], std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file || text.size() > kMaximum) return kUnusableProof;
  TiXmlDocument document;
  document.Parse(text.c_str(), nullptr, TIXML_ENCODING_UTF8);
  std::cout << (document.Error() ? "refused" : "parsed") << "\n";
  if (!document.Error()) std::cout << document;
  return 0;
}
