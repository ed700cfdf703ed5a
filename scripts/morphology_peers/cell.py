"""A segmented cell, the register of functions by group and library, and what several of them share."""

import cv2
import numpy as np


CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
GROUPS = {}  # by group: number of our values, and by library a function and whether it computes less


class Cell:
    """Image and masks, as 0/1 bytes; `cytoplasm` costs time when asked for."""

    def __init__(self, path, rgb, nucleus, cell):
        self.path, self.rgb, self.nucleus, self.cell = path, rgb, nucleus, cell

    @property
    def cytoplasm(self):
        return self.cell - self.nucleus


def group(name, n_values, library, part=None, less=False):
    """Registers a function for a group, which may be one of several parts; `less` computes not all, or not the same."""
    def register(function):
        libraries = GROUPS.setdefault(name, (n_values, {}))[1]
        libraries[library] = ((lambda cell: function(cell, getattr(cell, part))) if part else function), less
        return function
    return register


def parts(name, n_values, library, names, less=False):
    """Registers one function for the groups `<part>_<name>`."""
    def register(function):
        for part in names:
            group(f"{part}_{name}", n_values, library, part, less)(function)
        return function
    return register


def stained(name, n_values, library):
    """Registers a function that is given the stain normalisation, and once more without any."""
    def register(function):
        group(name, n_values, library)(lambda cell: function(cell, lambda rgb: normalised(cell, rgb)))
        group(name, n_values, f"{library} without normalisation", less=True)(lambda cell: function(cell, lambda rgb: rgb))
        return function
    return register


def box(mask, margin=0):
    x, y, w, h = cv2.boundingRect(mask)
    return np.s_[max(y - margin, 0):y + h + margin, max(x - margin, 0):x + w + margin]


def flat(*values):
    return np.concatenate([np.ravel(v) for v in values])


def diameter(area):
    return 2 * np.sqrt(area / np.pi)


def contours(mask):
    return cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]


def scaled(cell, to, *images):
    """The cell's box with a margin, scaled so that the cell has that diameter; images, then nucleus and cell."""
    area = cv2.countNonZero(cell.cell)
    zoom = to / diameter(area)
    at = box(cell.cell, int(8 / zoom))
    size = lambda image: (round(image.shape[1] * zoom), round(image.shape[0] * zoom))
    small = [cv2.resize(i[at], size(i[at]), interpolation=cv2.INTER_AREA) for i in images]
    masks = [cv2.resize(m[at], size(m[at]), interpolation=cv2.INTER_NEAREST) for m in (cell.nucleus, cell.cell)]
    return *small, *masks


def level_at(counts, share):
    """The level below which that share of the pixels lies, from their histogram."""
    below = np.cumsum(counts)
    return np.searchsorted(below, share * below[-1])


def background(rgb):
    """Median colour of the brightest 30 % of the pixels of the image at a third of its size."""
    small = cv2.resize(rgb, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA)
    bright = cv2.transform(small, np.full((1, 3), 1 / 3))
    limit = level_at(cv2.calcHist([bright], [0], None, [256], [0, 256]), 0.7)
    mask = cv2.compare(bright, float(limit), cv2.CMP_GE)
    return np.array([level_at(cv2.calcHist([small], [c], mask, [256], [0, 256]), 0.5) for c in range(3)], float)


def normalisation(cell):
    """By level and channel, the level after stain normalisation (the background is 240)."""
    density = -np.log(np.clip(np.arange(256)[:, None] / background(cell.rgb), 0.004, 1.05)).astype(np.float32)
    at = box(cell.nucleus)
    total = cv2.transform(cv2.LUT(cell.rgb[at], density[:, None]), np.ones((1, 3), np.float32))
    median = np.median(total[cell.nucleus[at].view(bool)])
    factor = np.clip(2 / max(median, 1e-3), 0.4, 2.5)
    return np.clip(240 * np.exp(-factor * density), 0, 255).astype(np.uint8), factor * density


def normalised(cell, rgb):
    return cv2.LUT(rgb, normalisation(cell)[0][:, None])


def mean_std(image, *masks):
    return flat(*(cv2.meanStdDev(image, mask=m) for m in masks))
