//! Explain with ONNX Runtime's C API, from Rust without crates:
//!
//!     explain MODEL.onnx PIXELS.f32 [CLASS]
//!
//! PIXELS is the model's input for one image, float32 in the machine's byte order. `make rust` builds
//! the program: `bindgen` declares what ONNX Runtime's header does, and `ORT_BINDINGS` names its file.
//! The crate `ort` wraps the same calls.

#[allow(dead_code, non_camel_case_types, non_snake_case, non_upper_case_globals)]
mod ort {
    include!(env!("ORT_BINDINGS"));
}

use std::ffi::{c_char, c_void, CStr, CString};
use std::mem::size_of_val;
use std::ptr::{null, null_mut};

/// Call a function of ONNX Runtime; end the program with its words if it fails.
macro_rules! call {
    ($api:expr, $name:ident($($argument:expr),*)) => {{
        let status = ($api.$name.expect(stringify!($name)))($($argument),*);
        if !status.is_null() {
            let words = CStr::from_ptr(($api.GetErrorMessage.unwrap())(status));
            eprintln!("{}", words.to_string_lossy());
            std::process::exit(1);
        }
    }};
}

/// A tensor that borrows `values`.
unsafe fn tensor<T>(
    api: &ort::OrtApi, values: &mut [T], shape: &[i64], kind: ort::ONNXTensorElementDataType,
) -> *mut ort::OrtValue {
    let (mut memory, mut value) = (null_mut(), null_mut());
    call!(api, CreateCpuMemoryInfo(ort::OrtAllocatorType_OrtArenaAllocator,
                                   ort::OrtMemType_OrtMemTypeDefault, &mut memory));
    call!(api, CreateTensorWithDataAsOrtValue(memory, values.as_mut_ptr() as *mut c_void,
                                              size_of_val(values), shape.as_ptr(), shape.len(), kind,
                                              &mut value));
    value
}

/// The extents in a type and shape; -1 stands for any.
unsafe fn shape_of(api: &ort::OrtApi, info: *const ort::OrtTensorTypeAndShapeInfo) -> Vec<i64> {
    let mut rank = 0;
    call!(api, GetDimensionsCount(info, &mut rank));
    let mut shape = vec![0; rank];
    call!(api, GetDimensions(info, shape.as_mut_ptr(), rank));
    shape
}

/// The values of a tensor, which must be of this type.
unsafe fn values<'a, T>(api: &ort::OrtApi, value: *mut ort::OrtValue) -> &'a [T] {
    let (mut info, mut count, mut data) = (null_mut(), 0, null_mut());
    call!(api, GetTensorTypeAndShape(value, &mut info));
    call!(api, GetTensorShapeElementCount(info, &mut count));
    call!(api, GetTensorMutableData(value, &mut data));
    std::slice::from_raw_parts(data as *const T, count)
}

unsafe fn explain(model: &str, mut pixels: Vec<f32>, wanted: i64) {
    let base = &*ort::OrtGetApiBase();
    let api = &*(base.GetApi.unwrap())(ort::ORT_API_VERSION);
    let (mut env, mut options, mut session) = (null_mut(), null_mut(), null_mut());
    let (name, path) = (CString::new("explain").unwrap(), CString::new(model).unwrap());
    call!(api, CreateEnv(ort::OrtLoggingLevel_ORT_LOGGING_LEVEL_ERROR, name.as_ptr(), &mut env));
    call!(api, CreateSessionOptions(&mut options));
    call!(api, CreateSession(env, path.as_ptr(), options, &mut session));

    let (mut allocator, mut input) = (null_mut(), null_mut::<c_char>());
    let (mut kind, mut info) = (null_mut(), null());
    call!(api, GetAllocatorWithDefaultOptions(&mut allocator));
    call!(api, SessionGetInputName(session, 0, allocator, &mut input));
    call!(api, SessionGetInputTypeInfo(session, 0, &mut kind));
    call!(api, CastTypeInfoToTensorInfo(kind, &mut info));
    let mut shape = shape_of(api, info);
    shape[0] = 1;
    println!("input {} {:?}", CStr::from_ptr(input).to_string_lossy(), shape);

    let mut wanted = [wanted]; // -1: the best class
    let feeds = [
        tensor(api, &mut pixels, &shape,
               ort::ONNXTensorElementDataType_ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) as *const _,
        tensor(api, &mut wanted, &[1, 1],
               ort::ONNXTensorElementDataType_ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) as *const _,
    ];
    let class_index = CString::new("class_index").unwrap();
    let inputs = [input as *const c_char, class_index.as_ptr()];
    let asked = ["classes", "scores", "heatmap"].map(|name| CString::new(name).unwrap());
    let outputs = asked.each_ref().map(|name| name.as_ptr());
    let mut found = [null_mut(); 3];
    call!(api, Run(session, null(), inputs.as_ptr(), feeds.as_ptr(), feeds.len(), outputs.as_ptr(),
                   outputs.len(), found.as_mut_ptr()));
    let map: &[f32] = values(api, found[2]);
    println!("class {}", values::<i64>(api, found[0])[0]);
    println!("score {}", values::<f32>(api, found[1])[0]);
    let most = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    println!("heatmap of {} cells, maximum {}", map.len(), most);
    // The process ends here, and the system frees what ONNX Runtime holds.
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() < 3 {
        eprintln!("usage: explain MODEL.onnx PIXELS.f32 [CLASS]");
        std::process::exit(2);
    }
    let bytes = std::fs::read(&arguments[2]).expect("PIXELS is no file that can be read");
    let pixels = bytes.chunks_exact(4).map(|four| f32::from_ne_bytes(four.try_into().unwrap()));
    let wanted = arguments.get(3).map_or(-1, |text| text.parse().expect("CLASS is no number"));
    unsafe { explain(&arguments[1], pixels.collect(), wanted) };
}
