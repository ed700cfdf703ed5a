"""Colours and stains."""

import cv2
import numpy as np
from skimage import color

from cell import background, box, flat, group, mean_std, stained


@stained("colour", 32, "OpenCV")
def colour_cv(cell, normalise):
    at = box(cell.cell)
    rgb, nucleus, cytoplasm = normalise(cell.rgb[at]), cell.nucleus[at], cell.cytoplasm[at]
    images = rgb, cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab), cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)[..., :2].copy()
    return flat(*(mean_std(i, nucleus, cytoplasm) for i in images))


@stained("colour", 32, "scikit-image")
def colour_sk(cell, normalise):
    at = box(cell.cell)
    rgb = normalise(cell.rgb[at])
    images = np.concatenate([rgb, color.rgb2lab(rgb), color.rgb2hsv(rgb)[..., :2]], axis=2)
    inside = [images[m[at].view(bool)] for m in (cell.nucleus, cell.cytoplasm)]
    return flat(*((v.mean(0), v.std(0)) for v in inside))


@stained("colour_contrast", 3, "OpenCV")
def colour_contrast_cv(cell, normalise):
    at = box(cell.cell)
    rgb = normalise(cell.rgb[at])
    return np.subtract(cv2.mean(rgb, mask=cell.nucleus[at]), cv2.mean(rgb, mask=cell.cytoplasm[at]))[:3]


@stained("colour_contrast", 3, "numpy")
def colour_contrast_np(cell, normalise):
    at = box(cell.cell)
    rgb = normalise(cell.rgb[at])
    return rgb[cell.nucleus[at].view(bool)].mean(0) - rgb[cell.cytoplasm[at].view(bool)].mean(0)


@group("background_ratios", 6, "OpenCV + numpy")
def background_ratios_cv(cell):
    paper = background(cell.rgb)
    return flat(*(cv2.mean(cell.rgb, mask=m)[:3] / paper for m in (cell.nucleus, cell.cytoplasm)))


@stained("percentiles", 18, "OpenCV")
def percentiles_cv(cell, normalise):
    """From histograms, without interpolation."""
    at = box(cell.cell)
    rgb = normalise(cell.rgb[at])
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)
    values = []
    for mask in (cell.nucleus[at], cell.cytoplasm[at]):
        below = lambda image, c: np.cumsum(cv2.calcHist([image], [c], mask, [256], [0, 256]))
        for channel in (2, 1):
            counts = below(rgb, channel)
            values.append(np.searchsorted(counts, np.array([0.05, 0.5, 0.95]) * counts[-1]))
        light, red, blue = (below(lab, c) for c in range(3))
        values.append(np.array([blue[114], red[-1] - red[150], light[-1] - light[200]]) / blue[-1])
    return flat(*values)


@stained("percentiles", 18, "numpy")
def percentiles_np(cell, normalise):
    """Lab by OpenCV."""
    at = box(cell.cell)
    normal = normalise(cell.rgb[at])
    lab = cv2.cvtColor(normal, cv2.COLOR_RGB2Lab)
    values = []
    for mask in (cell.nucleus[at].view(bool), cell.cytoplasm[at].view(bool)):
        rgb, inside = normal[mask], lab[mask]
        values.append(np.percentile(rgb[:, 1:], [5, 50, 95], axis=0))
        values.append([(inside[:, 2] < 115).mean(), (inside[:, 1] > 150).mean(), (inside[:, 0] > 200).mean()])
    return flat(*values)


@group("cielab", 16, "OpenCV")
def cielab_cv(cell):
    at = box(cell.cell)
    lab = cv2.cvtColor(cell.rgb[at].astype(np.float32) / np.float32(255), cv2.COLOR_RGB2Lab)
    return lab_values(mean_std(lab, cell.nucleus[at], cell.cytoplasm[at]))


@group("cielab", 16, "scikit-image")
def cielab_sk(cell):
    of = lambda m: color.rgb2lab(cell.rgb[m.view(bool)])
    return lab_values(flat(*((v.mean(0), v.std(0)) for v in (of(cell.nucleus), of(cell.cytoplasm)))))


def lab_values(values):
    apart = values[:3] - values[6:9]
    return flat(values, apart, np.linalg.norm(apart))


HED_TABLE = np.log(np.maximum(np.arange(256) / 255, 1e-6)) / np.log(1e-6)


@group("stains", 23, "OpenCV + numpy")
def stains_cv(cell):
    at = box(cell.cell)
    rgb, nucleus, cytoplasm = cell.rgb[at], cell.nucleus[at], cell.cytoplasm[at]
    density = cv2.LUT(rgb, HED_TABLE)
    fixed = mean_std(np.maximum(cv2.transform(density, color.hed_from_rgb.T), 0), nucleus, cytoplasm)
    table = -np.log(np.clip((np.arange(256)[:, None] + 1) / (background(cell.rgb) + 1), 0.004, None))
    od = cv2.LUT(rgb, np.ascontiguousarray(table[:, None].reshape(256, 1, 3)))
    dark = od[cell.cell[at].view(bool) & (od >= 0.15).all(2)]
    _, axes = np.linalg.eigh(np.cov(dark, rowvar=False))
    plane = axes[:, :0:-1] * np.sign(axes[0, :0:-1])
    on = dark @ plane
    ends = np.percentile(np.arctan2(on[:, 1], on[:, 0]), [1, 99])
    vectors = plane @ np.array([np.cos(ends), np.sin(ends)])
    amounts = cv2.transform(od, np.linalg.pinv(vectors))
    return flat(fixed, mean_std(amounts, nucleus, cytoplasm), np.ptp(ends), fixed[:2] - fixed[6:8])


@group("stains", 23, "scikit-image", less=True)
def stains_sk(cell):
    """Fixed vectors only."""
    of = lambda m: color.rgb2hed(cell.rgb[m.view(bool)])
    values = flat(*((v.mean(0), v.std(0)) for v in (of(cell.nucleus), of(cell.cytoplasm))))
    return flat(values, values[:2] - values[6:8])
