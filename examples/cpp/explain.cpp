// Explain with ONNX Runtime's C++ API:
//
//     explain MODEL.onnx PIXELS.f32 [CLASS]
//
// PIXELS is the model's input for one image, float32. Build the program with
//
//     g++ -std=c++17 -I ORT/include explain.cpp -L ORT/lib -lonnxruntime -o explain
//
// or both examples by `make cpp`, with Debian's headers.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

void describe(const char* kind, const char* name, const Ort::TypeInfo& type) {
  std::cout << kind << ' ' << name << " [";
  const char* comma = "";
  for (int64_t extent : type.GetTensorTypeAndShapeInfo().GetShape()) {  // -1: any
    std::cout << comma << extent;
    comma = ", ";
  }
  std::cout << "]\n";
}

std::vector<float> read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
  std::vector<float> values(bytes.size() / sizeof(float));
  std::copy_n(bytes.data(), values.size() * sizeof(float), reinterpret_cast<char*>(values.data()));
  return values;
}

int main(int count, char** arguments) {
  Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "explain");
  Ort::Session session(env, arguments[1], Ort::SessionOptions());
  Ort::AllocatorWithDefaultOptions allocator;
  for (size_t i = 0; i < session.GetInputCount(); ++i)
    describe("input", session.GetInputNameAllocated(i, allocator).get(), session.GetInputTypeInfo(i));
  for (size_t i = 0; i < session.GetOverridableInitializerCount(); ++i)
    describe("optional input", session.GetOverridableInitializerNameAllocated(i, allocator).get(),
             session.GetOverridableInitializerTypeInfo(i));
  for (size_t i = 0; i < session.GetOutputCount(); ++i)
    describe("output", session.GetOutputNameAllocated(i, allocator).get(), session.GetOutputTypeInfo(i));

  const auto image = session.GetInputNameAllocated(0, allocator);
  auto shape = session.GetInputTypeInfo(0).GetTensorTypeAndShapeInfo().GetShape();
  shape[0] = 1;
  std::vector<float> pixels = read(arguments[2]);
  std::array<int64_t, 1> wanted{count > 3 ? std::atoll(arguments[3]) : -1};  // -1: the best class
  const std::array<int64_t, 2> one{1, 1};
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const std::array<Ort::Value, 2> feeds{
      Ort::Value::CreateTensor<float>(memory, pixels.data(), pixels.size(), shape.data(), shape.size()),
      Ort::Value::CreateTensor<int64_t>(memory, wanted.data(), wanted.size(), one.data(), one.size())};

  const std::array<const char*, 2> names{image.get(), "class_index"};
  const std::array<const char*, 3> asked{"classes", "scores", "heatmap"};
  const auto found = session.Run(Ort::RunOptions(), names.data(), feeds.data(), feeds.size(),
                                 asked.data(), asked.size());
  const float* map = found[2].GetTensorData<float>();
  const size_t cells = found[2].GetTensorTypeAndShapeInfo().GetElementCount();
  std::cout << "class " << *found[0].GetTensorData<int64_t>() << "\nscore "
            << *found[1].GetTensorData<float>() << "\nheatmap of " << cells << " cells, maximum "
            << *std::max_element(map, map + cells) << '\n';
}
