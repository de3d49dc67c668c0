"""Spoken digits as 16 kHz mono WAV, spoken by espeak-ng in many voices, speeds and pitches."""

import math
import struct
import subprocess
import sys
import wave
from array import array

RATE = 16000
LONGEST = 0.9  # seconds, so that a clip with its pauses fits one second
ACCENTS = ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp"]
SPEAKERS = ["", "m1", "m2", "m3", "m4", "m5", "m7", "f1", "f2", "f3", "f5"]
HELD_OUT_SPEAKERS = ["m6", "f4"]  # nobody hears these before the evaluation


def settings(random, speakers, count):
    """`count` different (voice, speed in words a minute, pitch from 0 to 99), every speaker in turn."""
    found = []
    while len(found) < count:
        speaker = speakers[len(found) % len(speakers)]
        voice = random.choice(ACCENTS) + ("+" + speaker if speaker else "")
        setting = (voice, random.randrange(135, 205), random.randrange(30, 70))
        if setting not in found:
            found.append(setting)
    return found


def speak(word, setting):
    """The word as floats in [-1, 1] at 16 kHz, without the silence around it."""
    voice, speed, pitch = setting
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", word]
    said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if said.returncode != 0 or said.stdout[:4] != b"RIFF":
        raise SystemExit(f"{' '.join(command)}: {said.stderr.decode().strip() or 'no sound'}")
    rate = struct.unpack("<I", said.stdout[24:28])[0]
    samples = array("h", said.stdout[44 : 44 + (len(said.stdout) - 44) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return resample(trim([sample / 32768.0 for sample in samples]), rate)[: int(LONGEST * RATE)]


def resample(samples, rate):
    """To 16 kHz by a windowed sinc of 16 taps."""
    if rate == RATE:
        return samples
    divisor = math.gcd(rate, RATE)
    up, down = RATE // divisor, rate // divisor
    cutoff, half = min(1.0, RATE / rate) * 0.92, 8
    phases = [taps(phase / up, cutoff, half) for phase in range(up)]
    padded = [0.0] * half + samples + [0.0] * (half + 1)
    out = []
    for n in range(len(samples) * up // down):
        at, phase = divmod(n * down, up)
        window = padded[at + 1 : at + 1 + 2 * half]
        out.append(sum(map(float.__mul__, window, phases[phase])))
    return out


def taps(offset, cutoff, half):
    """A Hann-windowed sinc, sampled at half samples on both sides of `offset`; sums to one."""
    values = []
    for k in range(1 - half, half + 1):
        t = k - offset
        angle = math.pi * cutoff * t
        sinc = 1.0 if abs(t) < 1e-9 else math.sin(angle) / angle
        values.append(sinc * (0.5 + 0.5 * math.cos(math.pi * t / half) if abs(t) < half else 0.0))
    total = sum(values)
    return [value / total for value in values]


def trim(samples, quiet=0.01):
    loud = [at for at, value in enumerate(samples) if abs(value) > quiet]
    return samples[loud[0] : loud[-1] + 1] if loud else []


def vary(samples, random):
    """A pause before the word, another loudness, a little hiss."""
    gain = random.uniform(0.5, 1.0) * 0.7 / max(map(abs, samples))
    pause = random.randrange(0, int(0.09 * RATE))
    hiss = random.uniform(0.0, 0.004)
    noisy = [0.0] * pause + [gain * value for value in samples]
    return [value + hiss * random.uniform(-1.0, 1.0) for value in noisy]


def write_wav(path, samples):
    values = array("h", [round(max(-1.0, min(1.0, value)) * 32767) for value in samples])
    if sys.byteorder == "big":
        values.byteswap()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(values.tobytes())
