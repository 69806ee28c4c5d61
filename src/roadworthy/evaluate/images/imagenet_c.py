"""The 19 kinds of ImageNet-C (Hendrycks & Dietterich 2019), the usual battery for models of images.

Noise, blur but for glass, fog, brightness, contrast, pixelate and JPEG have the strengths of the paper's code. Glass,
snow, frost, spatter, elastic and saturate are of our own making, so that no picture is needed and more severity is more
change: their results are not to be compared with published ones.
"""

from __future__ import annotations

from roadworthy.evaluate.base import Corruption
from roadworthy.evaluate.corruptions.image_blur import ImageBlur
from roadworthy.evaluate.corruptions.image_digital import ImageDigital
from roadworthy.evaluate.corruptions.image_noise import ImageNoise
from roadworthy.evaluate.corruptions.image_weather import ImageWeather

# The 15 of the benchmark, in its order.
BENCHMARK: tuple[Corruption, ...] = (
    ImageNoise("gaussian", called="gaussian noise"),
    ImageNoise("shot", called="shot noise"),
    ImageNoise("impulse", called="impulse noise"),
    ImageBlur("defocus", called="defocus blur"),
    ImageBlur("glass", called="glass blur"),
    ImageBlur("motion", called="motion blur"),
    ImageBlur("zoom", called="zoom blur"),
    ImageWeather("snow", called="snow"),
    ImageWeather("frost", called="frost"),
    ImageWeather("fog", called="fog"),
    ImageWeather("brightness", called="brightness"),
    ImageDigital("contrast", called="contrast"),
    ImageDigital("elastic", called="elastic transform"),
    ImageDigital("pixelate", called="pixelate"),
    ImageDigital("jpeg", called="jpeg compression"),
)
# The four that the paper keeps apart, for tuning.
EXTRA: tuple[Corruption, ...] = (
    ImageNoise("speckle", called="speckle noise"),
    ImageBlur("gaussian", called="gaussian blur"),
    ImageWeather("spatter", called="spatter"),
    ImageDigital("saturate", called="saturate"),
)
STANDARD = BENCHMARK + EXTRA
