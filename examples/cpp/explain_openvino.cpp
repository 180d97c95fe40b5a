// Explain with OpenVINO's C++ API, without ONNX Runtime:
//
//     explain_openvino MODEL.onnx PIXELS.f32 [CLASS]
//
// MODEL was exported with --profile openvino. PIXELS is its input for one image, float32. Build the
// program with the headers and the library of Python's package openvino (`make cpp`).

#include <openvino/openvino.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

int main(int, char** arguments) {
  ov::Core core;
  // What the artifact was proven with: float32, and no cached kernels (docs/engines.md).
  auto compiled = core.compile_model(arguments[1], "CPU",
                                     {{"INFERENCE_PRECISION_HINT", "f32"}, {"CPU_RUNTIME_CACHE_CAPACITY", "0"}});
  std::ifstream file(arguments[2], std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});

  auto extents = compiled.input(0).get_partial_shape();
  extents[0] = 1;
  ov::Tensor pixels(ov::element::f32, extents.to_shape());
  std::copy_n(bytes.data(), std::min(bytes.size(), pixels.get_byte_size()), static_cast<char*>(pixels.data()));
  ov::Tensor wanted(ov::element::i64, {1, 1});
  *wanted.data<int64_t>() = arguments[3] ? std::atoll(arguments[3]) : -1;  // -1: the best class

  auto request = compiled.create_infer_request();
  request.set_input_tensor(0, pixels);
  request.set_tensor("class_index", wanted);
  request.infer();
  const auto map = request.get_tensor("heatmap");
  const float* cells = map.data<float>();
  std::cout << "class " << *request.get_tensor("classes").data<int64_t>() << "\nscore "
            << *request.get_tensor("scores").data<float>() << "\nheatmap of " << map.get_size() << " cells, maximum "
            << *std::max_element(cells, cells + map.get_size()) << '\n';
}
