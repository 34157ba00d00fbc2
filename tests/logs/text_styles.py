# ruff: noqa: E501 - lines as programs print them
"""What many programs print while they train, in small: each style with the reading that it must get. Numbers are made up.

``L(i)`` is the training loss of the i-th record, ``V(i)`` the held-out one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


def L(i: int) -> float:
    return 4.0 - 0.2 * i


def V(i: int) -> float:
    return 4.1 - 0.2 * i


@dataclass(frozen=True, kw_only=True)
class Style:
    """A log and its reading; empty parts are not looked at."""

    name: str
    text: str
    steps: Sequence[int]
    loss: Sequence[float] = ()
    held_out: Mapping[int, float] = field(default_factory=dict)
    epochs: Sequence[float] = ()
    planned: int = 0
    seconds: float | None = None
    clock: bool | None = None


def _each(count: int, line: Callable[[int], str]) -> str:
    return "".join(line(i) for i in range(count))


def _bar(label: str, place: int, total: int, postfix: str = "") -> str:
    tail = f", {postfix}" if postfix else ""
    return f"\r{label}{100 * place // total:3d}%|{'#' * (10 * place // total):10s}| {place}/{total} [00:01<00:09,  9.91it/s{tail}]"


def _keras_redraws(e: int) -> str:
    states = _each(
        3,
        lambda i: (
            "\b" * 60 + f"\r{100 * i + 50}/313 [==>.......] - ETA: 1s - loss: {L(e) + 0.3:.4f} - accuracy: 0.1000"
        ),
    )
    return (
        f"Epoch {e + 1}/6\n{states}"
        + "\b" * 60
        + (
            f"\r313/313 [==============================] - 2s 5ms/step - loss: {L(e):.4f} - accuracy: 0.5000"
            f" - val_loss: {V(e):.4f} - val_accuracy: 0.4000\n"
        )
    )


def _keras3(e: int) -> str:
    bar = "\x1b[32m━━━━━━━━━━━━━━━━━━━━\x1b[0m\x1b[37m\x1b[0m"
    return (
        f"Epoch {e + 1}/6\n\x1b[1m  1/313\x1b[0m \x1b[37m━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[1m33s\x1b[0m 108ms/step - "
        f"accuracy: 0.0 - loss: 9.0\r\x1b[1m313/313\x1b[0m {bar} \x1b[1m0s\x1b[0m 1ms/step - accuracy: 0.5 - loss: {L(e):.4f}\r"
        f"\x1b[1m313/313\x1b[0m {bar} \x1b[1m1s\x1b[0m 2ms/step - accuracy: 0.5 - loss: {L(e):.4f} - val_accuracy: 0.4 - "
        f"val_loss: {V(e):.4f}\n"
    )


def _sb3(i: int) -> str:
    rows = [
        ("rollout/", ""), ("   ep_len_mean", "22.1"), ("   ep_rew_mean", f"{20 + i}"), ("time/", ""), ("   fps", "1500"),
        ("   iterations", f"{i + 1}"), ("   time_elapsed", f"{2 * i}"), ("   total_timesteps", f"{2048 * (i + 1)}"),
        ("train/", ""), ("   approx_kl", "0.01"), ("   entropy_loss", "-1.4"), ("   loss", f"{L(i):.3f}"),
        ("   value_loss", "36.8"),
    ]  # fmt: skip
    return "-" * 42 + "\n" + "".join(f"| {name:23s} | {value:12s} |\n" for name, value in rows) + "-" * 42 + "\n"


_KERAS = {i + 1: V(i) for i in range(6)}
_THOUSAND = tuple(range(10, 61, 10))
_SIX = tuple(L(i) for i in range(6))

STYLES: tuple[Style, ...] = (
    Style(
        name="Keras, progress bar with backspaces",
        text=_each(6, _keras_redraws),
        steps=[313 * (i + 1) for i in range(6)], loss=_SIX, epochs=range(1, 7),
        held_out={313 * e: v for e, v in _KERAS.items()},
    ),
    Style(
        name="Keras 3, coloured bar",
        text=_each(6, _keras3),
        steps=[313 * (i + 1) for i in range(6)], loss=_SIX, epochs=range(1, 7),
        held_out={313 * e: v for e, v in _KERAS.items()},
    ),
    Style(
        name="Keras, verbose=2",
        text=_each(6, lambda e: f"Epoch {e + 1}/6\n313/313 - 2s - loss: {L(e):.4f} - accuracy: 0.5000 - "
                   f"val_loss: {V(e):.4f} - val_accuracy: 0.4 - 2s/epoch - 6ms/step\n"),
        steps=[313 * (i + 1) for i in range(6)], loss=_SIX, epochs=range(1, 7),
        held_out={313 * e: v for e, v in _KERAS.items()},
    ),
    Style(
        name="Keras of TensorFlow 1, with checkpoints",
        text="Train on 60000 samples, validate on 10000 samples\n" + _each(
            6, lambda e: f"Epoch {e + 1}/6\n - 2s - loss: {L(e):.4f} - acc: 0.5000 - val_loss: {V(e):.4f} - val_acc: 0.4\n"
            f"\nEpoch {e + 1:05d}: val_loss improved from {V(e - 1):.5f} to {V(e):.5f}, saving model to best.h5\n"),
        steps=range(1, 7), loss=_SIX, epochs=range(1, 7), held_out=_KERAS,
    ),
    Style(
        name="epoch heading, training and validation below",
        text=_each(6, lambda e: f"Epoch {e}/5\n----------\ntrain Loss: {L(e):.4f} Acc: 0.65\nval Loss: {V(e):.4f} Acc: 0.93\n\n"),
        steps=range(1, 7), loss=_SIX, epochs=range(6), held_out=_KERAS,
    ),
    Style(
        name="values above their epoch",
        text=_each(6, lambda e: f"Training loss: {L(e):.4f}\nValidation loss: {V(e):.4f}\nEpoch {e + 1} of 6\n"),
        steps=range(1, 7), loss=_SIX, epochs=range(1, 7), held_out=_KERAS,
    ),
    Style(
        name="OLMo console",
        text=_each(6, lambda i: f"[2030-01-01 09:0{i}:26] INFO     [train:816, rank=0] [step={10 * i + 10}/1000,epoch=0]\n"
                   f"    optim/total_grad_norm=1.2\n    train/CrossEntropyLoss={L(i):.4f}\n    train/Perplexity=12,101\n"
                   f"    throughput/total_tokens={(i + 1) * 10**6:,}\n    throughput/device/tokens_per_second=12,345\n"),
        steps=_THOUSAND, loss=_SIX, planned=1000, seconds=300,
    ),
    Style(
        name="Composer console",
        text=_each(6, lambda i: f"[batch={10 * i + 10}/1000]:\n\t Train time/epoch: 0\n\t Train time/batch: {10 * i + 9}\n"
                   f"\t Train time/sample: {320 * i}\n\t Train loss/train/total: {L(i):.4f}\n"
                   "\t Train metrics/train/LanguageCrossEntropy: 9.9\n\t Train throughput/batches_per_sec: 1.2\n"
                   + (f"[Eval batch=1/20] Eval on eval data:\n[Eval batch=20/20] Eval on eval data:\n"
                      f"\t Eval metrics/eval/LanguageCrossEntropy: {V(i):.4f}\n" if i % 3 == 2 else "")),
        steps=_THOUSAND, loss=_SIX, planned=1000, clock=False,
    ),
    Style(
        name="Stable-Baselines3 boxes",
        text="Using cpu device\n" + _each(6, _sb3),
        steps=[2048 * (i + 1) for i in range(6)], loss=_SIX, seconds=10,
    ),
    Style(
        name="RLlib results",
        text=_each(6, lambda i: f"Result for PPO_CartPole-v1_1234_00000:\n  agent_timesteps_total: {4000 * (i + 1)}\n"
                   f"  custom_metrics: {{}}\n  info:\n    learner:\n      default_policy:\n        total_loss: {L(i):.3f}\n"
                   f"  time_total_s: {5.0 * (i + 1)}\n  training_iteration: {i + 1}\n  \n"),
        steps=range(1, 7), loss=_SIX, seconds=30,
    ),
    Style(
        name="learning iterations of legged robots",
        text=_each(6, lambda i: "#" * 80 + f"\n{'':20s}Learning iteration {i}/1500\n\n"
                   "                       Computation: 12345 steps/s (collection: 1.2s, learning 0.3s)\n"
                   f"               Value function loss: 0.1234\n                    Surrogate loss: {L(i):.4f}\n"
                   f"                       Mean reward: {i}.21\n" + "-" * 80 +
                   f"\n                   Total timesteps: {98304 * (i + 1)}\n                    Iteration time: 1.5s\n"
                   f"                        Total time: {1.5 * (i + 1):.1f}s\n                               ETA: 2250s\n"),
        steps=range(6), seconds=9.0,
    ),
    Style(
        name="timm",
        text=_each(2, lambda e: _each(3, lambda i: f"Train: {e} [{50 * i:4d}/100 ({50 * i:3d}%)]  Loss: {L(3 * e + i):.3f} (6.9)  "
                   "Time: 0.413s,  619.7/s  (0.413s,  619.7/s)  LR: 1.000e-03  Data: 0.010 (0.012)\n")
                   + _each(3, lambda i: f"Test: [{i:4d}/2]  Time: 0.2 (0.2)  Loss:  9.9 ({V(e):.4f})  Acc@1: 50.0 (51.0)  Acc@5: 80.0 (81.0)\n")
                   + f"*** Best metric: 51.0 (epoch {e})\n").replace("[ 100/100 (100%)]", "[  99/100 (100%)]"),
        steps=(0, 50, 99, 100, 150, 199), loss=_SIX, epochs=(0, 0, 0, 1, 1, 1), held_out={99: V(0), 199: V(1)}, clock=False,
    ),
    Style(
        name="ImageNet example of PyTorch",
        text=_each(2, lambda e: _each(3, lambda i: f"Epoch: [{e}][{10 * i:3d}/30]\tTime  0.5 ( 0.6)\tData  0.1 ( 0.2)\t"
                   f"Loss {L(3 * e + i):.4e} (6.9e+00)\tAcc@1   0.39 (  0.24)\n")
                   + f"Test: [0/2]\tTime  0.5 ( 0.6)\tLoss 9.9e+00 (9.0e+00)\tAcc@1   0.39 (  0.24)\n"
                   f"Test: [1/2]\tTime  0.5 ( 0.6)\tLoss 9.9e+00 ({V(e):.4e})\tAcc@1   0.39 (  0.24)\n * Acc@1 0.240 Acc@5 0.9\n"),
        steps=(0, 10, 20, 30, 40, 50), loss=_SIX, held_out={20: V(0), 50: V(1)}, planned=0, clock=False,
    ),
    Style(
        name="MNIST example of PyTorch",
        text=_each(2, lambda e: _each(3, lambda i: f"Train Epoch: {e + 1} [{640 * i}/60000 ({i}%)]\tLoss: {L(3 * e + i):.6f}\n")
                   + f"\nTest set: Average loss: {V(e):.4f}, Accuracy: 9812/10000 (98%)\n\n"),
        steps=(0, 640, 1280, 60000, 60640, 61280), loss=_SIX, held_out={1280: V(0), 61280: V(1)},
    ),
    Style(
        name="Swin, DeiT",
        text=_each(2, lambda e: _each(3, lambda i: f"[2030-01-01 10:{e}{i}:00 swin] (main.py 186): INFO Train: [{e}/300][{10 * i}/30]\t"
                   f"eta 1:02:03 lr 0.000100\t time 0.51 (0.62)\tloss {L(3 * e + i):.4f} (6.9)\tgrad_norm 1.2 (1.5)\tmem 1000MB\n")),
        steps=(0, 10, 20, 30, 40, 50), loss=_SIX, planned=9000, seconds=720,
    ),
    Style(
        name="MetricLogger of DETR and MAE",
        text=_each(2, lambda e: _each(3, lambda i: f"Epoch: [{e}]  [{10 * i:3d}/30]  eta: 0:02:03  lr: 0.0001  loss: {L(3 * e + i):.4f} (6.9)  "
                   "time: 0.5  data: 0.1  max mem: 1000\n") + f"Epoch: [{e}] Total time: 0:00:15 (0.5 s / it)\n"
                   f"Test:  [0/2]  eta: 0:00:01  loss: 9.0 (9.0)  acc1: 1.0 (1.0)\n"
                   f"Test:  [1/2]  eta: 0:00:01  loss: 9.0 ({V(e):.4f})  acc1: 1.0 (1.0)\n"),
        steps=(0, 10, 20, 30, 40, 50), loss=_SIX, held_out={20: V(0), 50: V(1)}, clock=False,
    ),
    Style(
        name="mmengine",
        text=_each(2, lambda e: _each(3, lambda i: f"2030/01/0{e + 1} 10:0{i}:00 - mmengine - INFO - Epoch(train)  [{e + 1}][{10 * i + 10:3d}/30]  "
                   f"lr: 1.0000e-02  eta: 1:02:03  time: 0.2  data_time: 0.1  memory: 1000  loss: {L(3 * e + i):.4f}\n")
                   + f"2030/01/0{e + 1} 10:05:00 - mmengine - INFO - Epoch(val) [{e + 1}][5/5]    loss: {V(e):.4f}  data_time: 0.1  time: 0.2\n"),
        steps=_THOUSAND, loss=_SIX, held_out={30: V(0), 60: V(1)}, seconds=86520.0,
    ),
    Style(
        name="mmcv",
        text=_each(2, lambda e: _each(3, lambda i: f"2030-01-01 10:{e}{i}:00,123 - mmdet - INFO - Epoch [{e + 1}][{10 * i + 10}/30]\t"
                   f"lr: 2.000e-02, eta: 1 day, 1:02:03, time: 0.5, data_time: 0.1, memory: 1000, loss_cls: 0.1, loss: {L(3 * e + i):.4f}\n")),
        steps=_THOUSAND, loss=_SIX, seconds=720,
    ),
    Style(
        name="detectron2",
        text=_each(6, lambda i: f"[01/31 10:0{i}:00 d2.utils.events]:  eta: 1:02:03  iter: {20 * i + 19}  total_loss: {L(i):.4f}  loss_cls: 1.2  "
                   "loss_box_reg: 0.8  time: 0.5123  data_time: 0.1  lr: 1.2e-05  max_mem: 4567M\n"),
        steps=[20 * i + 19 for i in range(6)], loss=_SIX, seconds=300,
    ),
    Style(
        name="fairseq",
        text=_each(6, lambda i: f"2030-06-13 17:3{i}:08 | INFO | train_inner | epoch 001:    {i * 10} / 282 loss={L(i):.3f}, nll_loss=2.9, ppl=7.4, "
                   f"wps=12345.6, ups=1.2, num_updates={100 * i + 100}, lr=0.0001, gnorm=1.1, train_wall={46 + i % 3}, wall=0\n")
             + "2030-06-13 17:36:08 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 2.9 | nll_loss 2.8 | num_updates 600 | best_loss 2.9\n",
        steps=[100 * i + 100 for i in range(6)], loss=_SIX, held_out={600: 2.9}, seconds=360,
    ),
    Style(
        name="ESPnet",
        text=_each(2, lambda e: _each(3, lambda i: f"[host] 2030-11-11 16:{e}{i}:33,446 (trainer:486) INFO: {e + 1}epoch:train:{10 * i + 1}-{10 * i + 10}batch: "
                   f"iter_time=0.001, forward_time=0.005, loss={L(3 * e + i):.3f}, backward_time=0.005, lr_0=0.100, train_time=0.01{i}\n")),
        steps=_THOUSAND, loss=_SIX, seconds=720,
    ),
    Style(
        name="Megatron-LM with validation and padding",
        text=_each(6, lambda i: f" [2030-04-13 23:41:0{i}] iteration {10 * i + 10:8d}/    1000 | consumed samples: {160 * (i + 1):12d} | elapsed time per iteration (ms): 820.7 | "
                   f"learning rate: 4.000000E-05 | global batch size:    16 | lm loss: {L(i):.6E} | loss scale: 1.0 | grad norm: 3.874 |\n"
                   + (f"---------\n validation loss at iteration {10 * i + 10} | lm loss value: {V(i):.6E} | lm loss PPL: 7.25E+03 | \n---------\n" if i % 2 else "")),
        steps=_THOUSAND, loss=_SIX, held_out={20: V(1), 40: V(3), 60: V(5)}, planned=1000, seconds=5,
    ),
    Style(
        name="DeepSpeed",
        text=_each(6, lambda i: f"[2030-05-01 10:00:0{i},123] [INFO] [logging.py:68:log_dist] [Rank 0] step={10 * i + 10}, skipped=0, lr=[1e-05], mom=[(0.9, 0.95)]\n"
                   f"steps: {10 * i + 10} loss: {L(i):.4f} iter time (s): 0.936 samples/sec: 13{i}.7\n"),
        steps=_THOUSAND, loss=_SIX, seconds=5,
    ),
    Style(
        name="NeMo and Lightning, postfix with a global step",
        text=_each(6, lambda i: _bar("Epoch 0: :", 10 * i + 10, 1000, f"v_num=1, reduced_train_loss={L(i):.3f}, global_step={10 * i + 9:.3f}, "
                                     "consumed_samples=80.0, train_step_timing in s=1.2")),
        steps=[10 * i + 9 for i in range(6)], loss=_SIX, clock=False,
    ),
    Style(
        name="Lightning, a held-out loss that the bar goes on showing",
        text=_each(3, lambda e: _each(5, lambda i: _bar(f"Epoch {e}: ", 20 * i + 20, 100, f"loss={L(5 * e + i):.4f}, v_num=0" + (f", val_loss={V(e - 1):.4f}" if e else "")))
                   + _each(2, lambda i: _bar("Validation DataLoader 0: ", i + 1, 2))
                   + _bar(f"Epoch {e}: ", 100, 100, f"loss={L(5 * e + 4):.4f}, v_num=0, val_loss={V(e):.4f}") + "\n"),
        steps=range(20, 301, 20), loss=[L(i) for i in range(15)], held_out={100: V(0), 200: V(1), 300: V(2)},
    ),
    Style(
        name="Lightning, rich bar",
        text=_each(3, lambda e: _each(2, lambda i: f"Epoch {e}/2  ━━━━━━━━━━╺━━━ {50 * i + 50}/100 0:00:01 • 0:00:09 9.91it/s v_num: 0 train_loss: {L(2 * e + i):.3f}\n")),
        steps=range(50, 301, 50), loss=_SIX,
    ),
    Style(
        name="Hugging Face Trainer, dicts between states of its bar",
        text=_bar("", 0, 60) + _each(6, lambda i: _bar("", 10 * i + 10, 60) + f"\n\r{{'loss': {L(i):.4f}, 'grad_norm': 1.2, 'learning_rate': 5e-05, 'epoch': {(i + 1) / 2}}}\n"
                   + (_each(3, lambda j: _bar("", j + 1, 3)) + f"\n\r{{'eval_loss': {V(i):.4f}, 'eval_runtime': 1.2, 'eval_samples_per_second': 80.0, 'epoch': {(i + 1) / 2}}}\n" if i % 2 else ""))
             + "{'train_runtime': 100.0, 'train_samples_per_second': 12.3, 'train_loss': 3.5, 'epoch': 3.0}\n",
        steps=_THOUSAND, loss=_SIX, held_out={20: V(1), 40: V(3), 60: V(5)},
    ),
    Style(
        name="nanoGPT",
        text=_each(6, lambda i: (f"step {10 * i}: train loss 3.9, val loss {V(i):.4f}\n" if i % 2 == 0 else "") + f"iter {10 * i}: loss {L(i):.4f}, time 123.45ms, mfu 3.20%\n"),
        steps=range(0, 51, 10), loss=_SIX, held_out={0: V(0), 20: V(2), 40: V(4)}, clock=False,
    ),
    Style(
        name="build-nanogpt, log file",
        text=_each(6, lambda i: (f"{250 * i} val {V(i):.4f}\n{250 * i} hella 0.2700\n" if i % 2 == 0 else "") + f"{250 * i} train {L(i):.6f}\n"),
        steps=range(0, 1251, 250), loss=_SIX, held_out={0: V(0), 500: V(2), 1000: V(4)},
    ),
    Style(
        name="torchtitan",
        text=_each(6, lambda i: f"[rank0]:[titan] 2030-01-01 10:00:0{i},123 - root - INFO - \x1b[31mstep: {10 * i + 10:2d}  \x1b[32mloss:  {L(i):.4f}  \x1b[38mgrad_norm:  1.2\x1b[33m  "
                   "memory: 10.12GiB(12.34%)  \x1b[34mtps: 12,345  \x1b[36mtflops: 123.45  \x1b[35mmfu: 12.34%\x1b[39m\n"),
        steps=_THOUSAND, loss=_SIX, seconds=5,
    ),
    Style(
        name="MaxText",
        text=_each(6, lambda i: f"completed step: {i}, seconds: 1.2{i}, TFLOP/s/device: 123.4, Tokens/s/device: 1234.5, total_weights: 65536, loss: {L(i):.3f}\n"),
        steps=range(6), loss=_SIX, clock=False,
    ),
    Style(
        name="T5X and other programs with glog",
        text=_each(6, lambda i: f"I0131 12:00:0{i}.000000 140123 train.py:99] step: {10 * i + 10}, loss: {L(i):.4f}, lr: 0.001\n"),
        steps=_THOUSAND, loss=_SIX, seconds=5,
    ),
    Style(
        name="metric writer of clu",
        text=_each(6, lambda i: f"I1231 23:59:5{i}.123456 140123 logging_writer.py:48] [{10 * i + 10}] accuracy=0.5, loss={L(i):.4f}\n"),
        steps=_THOUSAND, loss=_SIX, seconds=5,
    ),
    Style(
        name="Caffe",
        text=_each(6, lambda i: f"I0914 09:36:0{i}.295799  6584 solver.cpp:228] Iteration {100 * i}, loss = {L(i):.4f}\nI0914 09:36:0{i}.295799  6584 solver.cpp:244]     Train net output #0: accuracy = 0.78\n"
                   f"I0914 09:36:0{i}.295799  6584 sgd_solver.cpp:106] Iteration {100 * i}, lr = 0.01\n"),
        steps=range(0, 501, 100), loss=_SIX, seconds=5,
    ),
    Style(
        name="XGBoost",
        text=_each(6, lambda i: f"[{i}]\ttrain-logloss:{L(i):.5f}\teval-logloss:{V(i):.5f}\n"),
        steps=range(6),
    ),
    Style(
        name="LightGBM",
        text="[LightGBM] [Info] Total Bins 1234\nTraining until validation scores don't improve for 10 rounds\n"
             + _each(6, lambda i: f"[{i + 1}]\ttraining's l2: {L(i):.5f}\tvalid_1's l2: {V(i):.5f}\n"),
        steps=range(1, 7),
    ),
    Style(
        name="CatBoost",
        text="Learning rate set to 0.1\n" + _each(6, lambda i: f"{i}:\tlearn: {L(i):.7f}\ttest: {V(i):.7f}\tbest: {V(i):.7f} ({i})\ttotal: {50 * i}ms\tremaining: 5s\n"),
        steps=range(6), loss=_SIX, held_out={i: V(i) for i in range(6)},
    ),
    Style(
        name="scikit-learn, MLP",
        text=_each(6, lambda i: f"Iteration {i + 1}, loss = {L(i):.8f}\n"),
        steps=range(1, 7), loss=_SIX,
    ),
    Style(
        name="scikit-learn, SGD",
        text=_each(6, lambda i: f"-- Epoch {i + 1}\nNorm: 1.2{i}, NNZs: 10, Bias: 0.100000, T: {1000 * (i + 1)}, Avg. loss: {L(i):.6f}\nTotal training time: 0.0{i} seconds.\n"),
        steps=range(1000, 6001, 1000), loss=_SIX, epochs=range(1, 7),
    ),
    Style(
        name="scikit-learn, boosting",
        text="Fitting\n      Iter       Train Loss   Remaining Time \n" + _each(6, lambda i: f"{i + 1:10d} {L(i):16.4f} {1.0:15.2f}s\n"),
        steps=range(1, 7), loss=_SIX,
    ),
    Style(
        name="PaddlePaddle",
        text=_each(2, lambda e: _each(3, lambda i: f"[2030/01/01 10:{e}{i}:00] ppcls INFO: [Train][Epoch {e + 1}/120][Iter: {10 * i}/30]lr(PiecewiseDecay): 0.1, top1: 0.1, loss: {L(3 * e + i):.5f}, "
                   "batch_cost: 1.2s, reader_cost: 0.5, ips: 64.0 samples/s, eta: 1:02:03\n")
                   + f"[2030/01/01 10:{e}5:00] ppcls INFO: [Eval][Epoch {e + 1}][Iter: 0/2]CELoss: 9.9, loss: 9.9\n[2030/01/01 10:{e}5:10] ppcls INFO: [Eval][Epoch {e + 1}][Avg]CELoss: {V(e):.4f}, loss: {V(e):.4f}\n"),
        steps=(0, 10, 20, 30, 40, 50), loss=_SIX, held_out={20: V(0), 50: V(1)}, seconds=720, planned=3600,
    ),
    Style(
        name="YOLO of Ultralytics",
        text=_each(6, lambda e: "\n      Epoch    GPU_mem   box_loss   cls_loss   dfl_loss  Instances       Size\n"
                   f"\r{e + 1:9d}/6      2.34G      9.9      2.345      1.345         52        640:  50%|#####     | 4/8 [00:01<00:01,  9.91it/s]"
                   f"\r{e + 1:9d}/6      2.34G      {L(e):.4f}      2.345      1.345         52        640: 100%|##########| 8/8 [00:01<00:00,  9.91it/s]\n"
                   "                 Class     Images  Instances      Box(P          R      mAP50  mAP50-95): 100%|##########| 2/2 [00:01<00:00,  9.91it/s]\n"
                   "                   all        128        929      0.640      0.537      0.605      0.446\n"),
        steps=range(1, 7), epochs=range(1, 7),
    ),
    Style(
        name="Darknet",
        text=_each(6, lambda i: f"\n {i + 1}: {L(i):.6f}, {L(i) + 0.1:.6f} avg loss, 0.001000 rate, 1.2 seconds, {64 * (i + 1)} images\nLoaded: 0.00003 seconds\n"),
        steps=range(1, 7), loss=_SIX, clock=False,
    ),
    Style(
        name="spaCy",
        text="ℹ Pipeline: ['tok2vec', 'tagger']\nℹ Initial learn rate: 0.001\nE    #       LOSS TOK2VEC  LOSS TAGGER  TAG_ACC  SCORE \n---  ------  ------------  -----------  -------  ------\n"
             + _each(6, lambda i: f"{i // 3:3d}  {200 * i:6d}  {0.0:12.2f}  {L(i):11.2f}  {10.0:7.2f}  {0.1:6.2f}\n"),
        steps=range(0, 1001, 200), epochs=(0, 0, 0, 1, 1, 1),
    ),
    Style(
        name="fastai, below other lines",
        text="Downloading resnet\nepoch     train_loss  valid_loss  accuracy  time    \n" + _each(6, lambda e: f"{e:<10d}{L(e):.6f}    {V(e):.6f}    0.500000  00:12     \n"),
        steps=range(1, 7), loss=_SIX, held_out=_KERAS, epochs=range(6), clock=False,
    ),
    Style(
        name="skorch",
        text="Fitting a net\n  epoch    train_loss    valid_acc    valid_loss     dur\n-------  ------------  -----------  ------------  ------\n"
             + _each(6, lambda e: f"{e + 1:7d}  {L(e):12.4f}  {0.5:11.4f}  {V(e):12.4f}  0.024{e}\n"),
        steps=range(1, 7), loss=_SIX, held_out=_KERAS,
    ),
    Style(
        name="DreamBooth, fine-tuning of diffusion models",
        text=_each(6, lambda i: _bar("Steps: ", 10 * i + 10, 1000, f"lr=5e-6, step_loss={L(i):.4f}")),
        steps=_THOUSAND, loss=_SIX, planned=1000,
    ),
    Style(
        name="PyTorch-Ignite",
        text=_each(2, lambda e: _each(3, lambda i: f"Epoch[{e + 1}/2] Iteration[{10 * i + 10}/30] Loss: {L(3 * e + i):.4f}\n")
                   + f"Training Results - Epoch: {e + 1}  Avg accuracy: 0.90 Avg loss: 3.00\nValidation Results - Epoch: {e + 1}  Avg accuracy: 0.89 Avg loss: {V(e):.2f}\n"),
        steps=_THOUSAND, loss=_SIX, held_out={30: round(V(0), 2), 60: round(V(1), 2)}, planned=60,
    ),
    Style(
        name="AllenNLP",
        text=_each(2, lambda e: _each(3, lambda i: f"\raccuracy: 0.5, batch_loss: 9.0, loss: {L(3 * e + i):.4f} ||: {33 * i}%|###       | {10 * i + 10}/30 [00:01<00:09,  9.91it/s]") + "\n"),
        steps=_THOUSAND, loss=_SIX,
    ),
    Style(
        name="OpenNMT",
        text=_each(6, lambda i: f"[2030-01-01 10:00:{45 + i},123 INFO] Step {50 * i + 50}/100000; acc:  10.51; ppl: 1234.5; xent: {L(i):.2f}; lr: 0.00001; 1234/1000 tok/s;     {45 + i} sec\n"
                   + (f"[2030-01-01 10:00:{45 + i},200 INFO] Validation perplexity: 34.5\n[2030-01-01 10:00:{45 + i},200 INFO] Validation accuracy: 45.6\n" if i % 3 == 2 else "")),
        steps=range(50, 301, 50), loss=_SIX, planned=100_000, seconds=5,
    ),
    Style(
        name="Marian",
        text=_each(6, lambda i: f"[2030-01-01 10:00:0{i}] Ep. 1 : Up. {1000 * i + 1000} : Sen. {12345 * (i + 1):,} : Cost {L(i):.4f} * 12,345 @ 1,234 after 123,456 : Time 12.3{i}s : 1234.5 words/s : gNorm 1.2 : L.r. 3.0e-04\n"
                   + (f"[2030-01-01 10:00:0{i}] [valid] Ep. 1 : Up. {1000 * i + 1000} : cross-entropy : {V(i):.4f} : new best\n" if i % 2 else "")),
        steps=range(1000, 6001, 1000), loss=_SIX, held_out={2000: V(1), 4000: V(3), 6000: V(5)}, seconds=5,
    ),
    Style(
        name="fastText",
        text="Read 0M words\n" + _each(6, lambda i: f"\rProgress:  {10.0 * i:.1f}% words/sec/thread:  123456 lr:  0.090000 avg.loss:  {L(i):.6f} ETA:   0h 0m 1s"),
        steps=range(0, 51, 10), loss=_SIX, clock=False,
    ),
    Style(
        name="word language model of PyTorch",
        text=_each(2, lambda e: _each(3, lambda i: f"| epoch {e + 1:3d} | {10 * i + 10:5d}/ 30 batches | lr 20.00 | ms/batch 12.34 | loss {L(3 * e + i):5.2f} | ppl  2064.78\n")
                   + "-" * 89 + f"\n| end of epoch {e + 1:3d} | time: 12{e}.45s | valid loss {V(e):5.2f} | valid ppl   365.12\n" + "-" * 89 + "\n"),
        steps=_THOUSAND, loss=_SIX, held_out={30: V(0), 60: V(1)}, clock=False,
    ),
    Style(
        name="icefall",
        text=_each(2, lambda e: _each(3, lambda i: f"2030-01-01 10:{e}{i}:00,123 INFO [train.py:895] (0/4) Epoch {e + 1}, batch {10 * i + 10}, loss[loss={L(3 * e + i):.4f}, simple_loss=0.6, over 1234.00 frames. ], "
                   "tot_loss[loss=0.7, over 5678.00 frames. ], batch size: 20, lr: 3.0e-03\n")
                   + f"2030-01-01 10:{e}5:00,123 INFO [train.py:929] (0/4) Epoch {e + 1}, validation: loss={V(e):.4f}, simple_loss=0.6, over 944034.00 frames. \n"),
        steps=_THOUSAND, loss=_SIX, held_out={30: V(0), 60: V(1)}, seconds=720,
    ),
    Style(
        name="Kaldi, nnet1",
        text=_each(6, lambda e: f"ITERATION {e + 1:02d}: TRAIN AVG.LOSS {L(e):.4f}, (lrate0.008), CROSSVAL AVG.LOSS {V(e):.4f}, nnet accepted (nnet_iter)\n"),
        steps=range(1, 7), loss=_SIX, held_out=_KERAS,
    ),
    Style(
        name="SpeechBrain",
        text=_each(6, lambda e: f"epoch: {e + 1}, lr: 1.00e-03 - train loss: {L(e):.2f} - valid loss: {V(e):.2f}, valid ACC: 5.0e-01\n"),
        steps=range(1, 7), loss=_SIX, held_out=_KERAS,
    ),
    Style(
        name="OpenPCDet",
        text=_each(2, lambda e: _each(3, lambda i: f"2030-01-05 16:{e}{i}:33,418   INFO  Train:    {e + 1}/3 ( 33%) [{10 * i + 10:4d}/30 (  0%)]  Loss: {L(3 * e + i):.4f} (51.)  LR: 1.000e-04  "
                   "Time cost: 00:04/21:46 [00:04/1:05:18]  Acc_iter 1           Data time: 0.87(0.87)  Forward time: 3.18(3.18)\n")),
        steps=_THOUSAND, loss=_SIX, seconds=720, planned=90,
    ),
    Style(
        name="a table of bars without labels, training and validation",
        text=_each(3, lambda e: _each(5, lambda i: _bar("", 20 * i + 20, 100, f"loss={L(5 * e + i):.4f}")) + "\n" + _each(4, lambda i: _bar("", i + 1, 4, f"loss={V(e):.4f}")) + "\n"),
        steps=range(20, 301, 20), loss=[L(i) for i in range(15)], held_out={100: V(0), 200: V(1), 300: V(2)},
    ),
    Style(
        name="validation results under a heading",
        text=_each(6, lambda i: f"step {10 * i + 10} | loss {L(i):.4f}\n" + (f"Validation results:\n  loss: {V(i):.4f}\n  accuracy: 0.5\n" if i % 2 else "")),
        steps=_THOUSAND, loss=_SIX, held_out={20: V(1), 40: V(3), 60: V(5)},
    ),
    Style(
        name="a step alone, its values below",
        text=_each(6, lambda i: f"Step {10 * i + 10}/1000:\n  loss: {L(i):.4f}\n  lr: 0.001\n"),
        steps=_THOUSAND, loss=_SIX, planned=1000,
    ),
    Style(
        name="validation loss above the step",
        text=_each(6, lambda i: (f"validation loss: {V(i):.4f}\n" if i % 2 == 0 else "") + f"step {250 * i:5d} | loss: {L(i):.6f} | lr 1.0e-04 | dt: 250.10ms | tok/sec: 12345.6\n"),
        steps=range(0, 1251, 250), loss=_SIX, held_out={0: V(0), 500: V(2), 1000: V(4)}, clock=False,
    ),
    Style(
        name="epoch headings over step lines, a summary below",
        text=_each(2, lambda e: f"===== Epoch {e + 1}/2 =====\n" + _each(3, lambda i: f"step {10 * i + 10}/30 loss: {L(3 * e + i):.4f}\n") + f"val_loss: {V(e):.4f}\n"),
        steps=_THOUSAND, loss=_SIX, held_out={30: V(0), 60: V(1)}, planned=60,
    ),
    Style(
        name="epochs of two lines, parted by bars",
        text=_each(6, lambda e: f"Epoch: {e + 1:02} | Time: 0m 12s\n\tTrain Loss: {L(e):.3f} | Train PPL: 12.1\n\t Val. Loss: {V(e):.3f} |  Val. PPL: 12.2\n"),
        steps=range(1, 7), loss=_SIX, held_out=_KERAS, epochs=range(1, 7), clock=False,
    ),
    Style(
        name="fairseq of 2019",
        text=_each(6, lambda i: f"| epoch 001:    {10 * i} / 282 loss={L(i):.3f}, nll_loss=2.9, wps=12345, num_updates={10 * i + 10}, lr=0.0001, gnorm=1.1, train_wall=48\n")
             + "| epoch 001 | valid on 'valid' subset | loss 3.2 | nll_loss 2.1 | num_updates 60\n",
        steps=_THOUSAND, loss=_SIX, held_out={60: 3.2}, clock=False,
    ),
    Style(
        name="Lightning, checkpoints alone",
        text=_each(6, lambda e: f"Epoch {e}, global step {100 * e + 99}: 'val_loss' reached {V(e):.5f} (best {V(e):.5f}), saving model to 'x/epoch={e}.ckpt' as top 1\n"),
        steps=range(1, 7), held_out=_KERAS, epochs=range(6),
    ),
    Style(
        name="BERT of NVIDIA",
        text=_each(6, lambda i: f"DLL 2030-01-01 10:00:0{i}.123 - Training Epoch: 0 Training Iteration: {10 * i + 10}  step_loss : {L(i):.4f}  learning_rate : 0.001 \n"),
        steps=_THOUSAND, loss=_SIX, seconds=5,
    ),
    Style(
        name="MLX",
        text=_each(6, lambda i: f"Iter {10 * i + 10}: Train loss {L(i):.3f}, Learning Rate 1.000e-05, It/sec 1.234, Tokens/sec 123.4, Peak mem 10.1 GB\n"
                   + (f"Iter {10 * i + 10}: Val loss {V(i):.3f}, Val took 1.234s\n" if i % 2 else "")),
        steps=_THOUSAND, loss=_SIX, held_out={20: V(1), 40: V(3), 60: V(5)}, clock=False,
    ),
    Style(
        name="TensorFlow estimators",
        text=_each(6, lambda i: f"INFO:tensorflow:loss = {L(i):.4f}, step = {100 * i} (1.23 sec)\nINFO:tensorflow:global_step/sec: 81.2{i}\n")
             + "INFO:tensorflow:Saving dict for global step 500: accuracy = 0.9, global_step = 500, loss = 3.1\n",
        steps=range(0, 501, 100), loss=_SIX, held_out={500: 3.1}, clock=False,
    ),
    Style(
        name="LitGPT",
        text=_each(6, lambda i: f"Epoch 1 | iter {10 * i + 10} step {5 * i + 5} | loss train: {L(i):.3f}, val: {V(i):.3f} | iter time: 123.45 ms (step) remaining time: 0:10:00\n"),
        steps=range(5, 31, 5), loss=_SIX, held_out={5 * i + 5: V(i) for i in range(6)}, clock=False,
    ),
    Style(
        name="bars of epochs",
        text=_each(6, lambda e: _bar("Epochs: ", e + 1, 6, f"train_loss={L(e):.3f}, val_loss={V(e):.3f}")),
        steps=range(1, 7), loss=_SIX, held_out=_KERAS, epochs=range(1, 7),
    ),
    Style(
        name="bars of training and evaluation with the epoch in their label",
        text=_each(2, lambda e: _each(3, lambda i: _bar(f"Train epoch {e}: ", i + 1, 3, f"loss={L(3 * e + i):.3f}")) + "\n"
                   + _each(2, lambda i: _bar(f"Eval epoch {e}: ", i + 1, 2, f"loss={V(e):.3f}")) + "\n"),
        steps=range(1, 7), loss=_SIX, held_out={3: V(0), 6: V(1)},
    ),
    Style(
        name="a bar without a total",
        text=_each(6, lambda i: f"\r{10 * i + 10}it [00:10, 9.1it/s, loss={L(i):.3f}]"),
        steps=_THOUSAND, loss=_SIX,
    ),
    Style(
        name="notebook of Hugging Face, as text",
        text="Some text here\n[60/60 01:00, Epoch 3/3]\nStep Training Loss Validation Loss\n" + _each(6, lambda i: f"{10 * i + 10} {L(i):.4f} {V(i):.4f}\n"),
        steps=_THOUSAND, loss=_SIX, held_out={10 * i + 10: V(i) for i in range(6)},
    ),
    Style(
        name="DAWNBench table",
        text="epoch  lr  train time  train loss  train acc  test time  test loss  test acc  total time\n"
             + _each(6, lambda e: f"{e + 1}  0.0800  12.{e}  {L(e):.4f}  0.4  0.5  {V(e):.4f}  0.5  {13.0 * (e + 1):.1f}\n"),
        steps=range(1, 7), loss=_SIX, held_out=_KERAS, seconds=78,
    ),
    Style(
        name="table between rules",
        text="-" * 40 + "\n|  run   |  epoch  |  train_loss  |  val_loss  |  time_seconds  |\n" + "-" * 40 + "\n"
             + _each(6, lambda e: f"|  warmup |  {e}  |  {L(e):.4f}  |  {V(e):.4f}  |  {1.5 * (e + 1):.4f}  |\n"),
        steps=range(1, 7), loss=_SIX, held_out=_KERAS, seconds=9,
    ),
    Style(
        name="batches that start again under a heading, a summary behind",
        text=_each(2, lambda e: f"Epoch {e}\n" + _each(3, lambda i: f"batch {25 * i}: loss={L(3 * e + i):.3f}\n")
                   + f"epoch {e} done, avg train loss 3.9, val loss {V(e):.3f}\n"),
        steps=(0, 25, 50, 75, 100, 125), loss=_SIX, held_out={50: V(0), 125: V(1)}, epochs=(0, 0, 0, 1, 1, 1),
    ),
)  # fmt: skip
