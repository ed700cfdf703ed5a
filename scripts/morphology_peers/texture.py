"""Grey, texture, granules, radial distribution and vacuoles."""

import cv2
import mahotas
import numpy as np
from mahotas.features.lbp import lbp_transform
from scipy import stats
from skimage import color, feature, filters, measure, morphology, segmentation

from cell import CROSS, box, diameter, flat, group, normalisation, parts, scaled, stained


@parts("intensity", 13, "OpenCV", ["nucleus", "cytoplasm"])
def intensity_cv(cell, mask):
    at = box(mask, 1)
    grey, mask = cv2.cvtColor(cell.rgb[at], cv2.COLOR_RGB2GRAY), mask[at]
    counts = cv2.calcHist([grey], [0], mask, [256], [0, 256]).ravel()
    levels = np.arange(256)
    n = counts.sum()
    mean = counts @ levels / n
    off = levels - mean
    std = np.sqrt(counts @ off ** 2 / n)
    skew, kurtosis = (counts @ off ** k / n / std ** k for k in (3, 4))
    p05, median, p95 = np.searchsorted(np.cumsum(counts), np.array([0.05, 0.5, 0.95]) * n)
    far = np.bincount(np.abs(levels - median), counts)
    present = np.flatnonzero(counts)
    edge = cv2.meanStdDev(grey, mask=mask - cv2.erode(mask, CROSS))
    mass, area = cv2.moments(grey * mask), cv2.moments(mask)
    centre = lambda m: np.array([m["m10"], m["m01"]]) / m["m00"]
    return flat(mean, std, present[0], present[-1], median, p05, p95, skew, kurtosis - 3,
                np.searchsorted(np.cumsum(far), n / 2), edge, np.linalg.norm(centre(mass) - centre(area)) / diameter(n))


@parts("intensity", 13, "scikit-image + scipy", ["nucleus", "cytoplasm"])
def intensity_sk(cell, mask):
    at = box(mask, 1)
    grey, mask = cv2.cvtColor(cell.rgb[at], cv2.COLOR_RGB2GRAY), mask[at]
    table = measure.regionprops_table(mask, grey, properties=[
        "intensity_mean", "intensity_std", "intensity_min", "intensity_max", "intensity_median", "centroid",
        "centroid_weighted", "equivalent_diameter_area"])
    values = grey[mask.view(bool)]
    edge = grey[segmentation.find_boundaries(mask, mode="inner")]
    return flat(*table.values(), np.percentile(values, [5, 95]), stats.skew(values), stats.kurtosis(values),
                stats.median_abs_deviation(values), edge.mean(), edge.std())[[0, 1, 2, 3, 4, *range(10, 17), 9]]


# --- texture

def levels_of(grey, mask, shift):
    return np.where(mask, (grey >> shift) + 1, 0).astype(np.uint8)


def graycomatrix(image, distances, angles, levels, names):
    pairs = feature.graycomatrix(image, distances, angles, levels + 1, symmetric=True)[1:, 1:]
    return flat(*(feature.graycoprops(pairs, name).mean(1) for name in names))


@parts("haralick", 37, "mahotas", ["nucleus", "cytoplasm"])
def haralick_mh(cell, mask):
    at = box(mask)
    image = levels_of(cv2.cvtColor(cell.rgb[at], cv2.COLOR_RGB2GRAY), mask[at], 2)
    return flat(*(mahotas.features.haralick(image, ignore_zeros=True, return_mean=True, distance=d) for d in (1, 3, 5)))


@parts("haralick", 37, "scikit-image", ["nucleus", "cytoplasm"])
def haralick_sk(cell, mask):
    at = box(mask)
    image = levels_of(cv2.cvtColor(cell.rgb[at], cv2.COLOR_RGB2GRAY), mask[at], 2)
    return graycomatrix(image, [1, 3, 5], [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4], 64, [
        "contrast", "dissimilarity", "homogeneity", "ASM", "energy", "correlation", "mean", "variance", "std", "entropy"])


@group("texture", 16, "scikit-image")
def texture_sk(cell):
    green, nucleus, whole = scaled_to_90(cell)
    return flat(*(graycomatrix(levels_of(green, m, 3), [1, 3], [0, np.pi / 2], 32, [
        "contrast", "homogeneity", "energy", "correlation"]) for m in (nucleus, whole - nucleus)))


@group("texture", 16, "mahotas")
def texture_mh(cell):
    green, nucleus, whole = scaled_to_90(cell)
    images = [levels_of(green, m, 3) for m in (nucleus, whole - nucleus)]
    return flat(*(mahotas.features.haralick(i, ignore_zeros=True, return_mean=True, distance=d)
                  for i in images for d in (1, 3)))


def scaled_to_90(cell):
    at = box(cell.cell)
    zoom = 90 / diameter(cv2.countNonZero(cell.cell))
    small = lambda i: cv2.resize(i[at], None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    return cv2.LUT(small(cell.rgb[..., 1]), normalisation(cell)[0][:, 1].copy()), small(cell.nucleus), small(cell.cell)


@group("lbp", 20, "scikit-image")
def lbp_sk(cell):
    at = box(cell.cell, 1)
    patterns = feature.local_binary_pattern(cv2.cvtColor(cell.rgb[at], cv2.COLOR_RGB2GRAY), 8, 1, "uniform")
    of = lambda m: np.bincount(patterns[m[at].view(bool)].astype(np.uint8), minlength=10)
    return flat(*(counts / counts.sum() for counts in map(of, (cell.nucleus, cell.cytoplasm))))


@group("lbp", 20, "mahotas")
def lbp_mh(cell):
    """36 patterns without regard to rotation, instead of 10."""
    at = box(cell.cell, 1)
    codes = lbp_transform(cv2.cvtColor(cell.rgb[at], cv2.COLOR_RGB2GRAY), 1, 8, preserve_shape=True)
    of = lambda m: np.bincount(codes[m[at].view(bool)].astype(np.uint8), minlength=256)[LBP_BINS]
    return flat(*(counts / counts.sum() for counts in map(of, (cell.nucleus, cell.cytoplasm))))


LBP_BINS = np.unique([min((p >> k | p << (8 - k)) & 255 for k in range(8)) for p in range(256)])


# The cell scaled to a diameter of 70 pixels.

@group("granularity", 20, "OpenCV")
def granularity_cv(cell):
    return granularity(cell, lambda i, r: cv2.morphologyEx(i, cv2.MORPH_OPEN, CROSS, iterations=r),
                       lambda i, r: cv2.morphologyEx(i, cv2.MORPH_CLOSE, CROSS, iterations=r))


@group("granularity", 20, "scikit-image")
def granularity_sk(cell):
    return granularity(cell, lambda i, r: morphology.opening(i, morphology.diamond(r)),
                       lambda i, r: morphology.closing(i, morphology.diamond(r)))


def granularity(cell, *operations):
    rgb, nucleus, whole = scaled(cell, 70, cell.rgb)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    masks = nucleus, whole - nucleus
    mean = lambda image: np.array([cv2.mean(image, mask=m)[0] for m in masks])
    all_means = [[mean(grey), *(mean(operation(grey, r)) for r in range(1, 6))] for operation in operations]
    return flat(*(100 * np.abs(np.diff(means, axis=0)) / means[0] for means in all_means))


@stained("granules", 18, "OpenCV")
def granules_cv(cell, normalise):
    rgb, nucleus, whole = scaled(cell, 70, cell.rgb)
    lab = cv2.cvtColor(normalise(rgb), cv2.COLOR_RGB2Lab).astype(np.float32)
    blurred = {s: cv2.GaussianBlur(lab, (0, 0), s) for s in (0.6, 0.96, 1.2, 1.92, 2.4, 3.84)}
    bands = [blurred[s] - blurred[1.6 * s] for s in (0.6, 1.2, 2.4)]
    return flat(*(cv2.meanStdDev(b, mask=m)[1] for b in bands for m in (nucleus, whole - nucleus)))


@stained("granules", 18, "scikit-image")
def granules_sk(cell, normalise):
    rgb, nucleus, whole = scaled(cell, 70, cell.rgb)
    lab = color.rgb2lab(normalise(rgb))
    bands = [filters.difference_of_gaussians(lab, s, 1.6 * s, channel_axis=2) for s in (0.6, 1.2, 2.4)]
    return flat(*(b[m.view(bool)].std(0) for b in bands for m in (nucleus, whole - nucleus)))


@stained("blobs", 8, "OpenCV")
def blobs_cv(cell, normalise):
    """Extremes of the difference of Gaussians, edges included."""
    rgb, nucleus, whole = scaled(cell, 70, cell.rgb)
    light = cv2.cvtColor(normalise(rgb), cv2.COLOR_RGB2Lab)[..., 0].astype(np.float32)
    band = cv2.GaussianBlur(light, (0, 0), 1.2) - cv2.GaussianBlur(light, (0, 0), 1.92)
    around = np.ones((3, 3), np.uint8)
    found = [((band == cv2.dilate(band, around)) & (band >= 4)).astype(np.uint8),
             ((band == cv2.erode(band, around)) & (band <= -4)).astype(np.uint8)]
    counts = [(cv2.countNonZero(f & m), cv2.countNonZero(m)) for f in found for m in (nucleus, whole - nucleus)]
    return flat(*((n, n / max(area, 1)) for n, area in counts))


@stained("blobs", 8, "scikit-image")
def blobs_sk(cell, normalise):
    """`blob_dog` over two scales."""
    rgb, nucleus, whole = scaled(cell, 70, cell.rgb)
    light = cv2.cvtColor(normalise(rgb), cv2.COLOR_RGB2Lab)[..., 0].astype(np.float32)
    values = []
    for image in (light, 255 - light):
        at = feature.blob_dog(image, min_sigma=1.2, max_sigma=3.1, threshold=4, threshold_rel=None)[:, :2].astype(int)
        for mask in (nucleus, whole - nucleus):
            n = np.count_nonzero(mask[at[:, 0], at[:, 1]])
            values.append((n, n / max(mask.sum(), 1)))
    return flat(*values)


@parts("radial", 24, "OpenCV + numpy", ["nucleus", "cell"])
def radial_cv(cell, mask):
    rgb, nucleus, whole = scaled(cell, 70, cell.rgb)
    mask = nucleus if mask is cell.nucleus else whole
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    y, x = np.nonzero(mask)
    ring = np.minimum((4 * (1 - depth[y, x] / depth.max())).astype(int), 3)
    dx, dy = x - x.mean(), y - y.mean()
    place = ring * 8 + (dx > 0) + 2 * (dy > 0) + 4 * (np.abs(dx) > np.abs(dy))
    n = np.bincount(place, minlength=32)
    density = normalisation(cell)[1]
    inside = rgb[y, x]
    od = (density[inside[:, 0], 0] + density[inside[:, 1], 1] + density[inside[:, 2], 2]) / 3
    values = []
    for image in (cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[y, x], od):
        sums = np.bincount(place, image, minlength=32)
        rings, counts = sums.reshape(4, 8).sum(1), n.reshape(4, 8).sum(1)
        means = (sums / np.maximum(n, 1)).reshape(4, 8)
        share = rings / rings.sum()
        values += [share, share / (np.maximum(counts, 1) / n.sum()), means.std(1) / np.maximum(means.mean(1), 1e-9)]
    return flat(*values)


@stained("halo", 4, "OpenCV")
def halo_cv(cell, normalise):
    rgb, nucleus, whole = scaled(cell, 70, cell.rgb)
    rgb = normalise(rgb)
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)
    od = cv2.LUT(rgb, -np.log(np.maximum(np.arange(256), 1) / 255))
    wide = cv2.dilate(nucleus, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    cytoplasm = whole - nucleus
    near, far = cytoplasm & wide, cytoplasm & ~wide
    (lab_near, od_near), (lab_far, od_far) = ((cv2.mean(lab, mask=m), sum(cv2.mean(od, mask=m))) for m in (near, far))
    return flat(np.subtract(lab_near, lab_far)[:3], od_near / max(od_far, 1e-9))


@group("vacuoles", 18, "OpenCV", less=True)
def vacuoles_cv(cell):
    """MSER of green at the same scale, then count, area and size of bright spots; not scored."""
    green, nucleus, whole = scaled(cell, 100, cell.rgb[..., 1])
    spots, boxes = cv2.MSER_create(5, 10, 500).detectRegions(np.where(whole, 255 - green, 255).astype(np.uint8))
    areas = np.array([len(s) for s in spots] or [0])
    light = [green[s[:, 1], s[:, 0]].mean() for s in spots] or [0]
    return flat(len(spots), areas.sum(), areas.max(), max(light), len(boxes))


@group("vacuoles", 18, "scikit-image", less=True)
def vacuoles_sk(cell):
    """The max-tree of green at the same scale and maxima that stand out; not scored."""
    green, nucleus, whole = scaled(cell, 100, cell.rgb[..., 1])
    inside = np.where(whole, green, 0).astype(np.uint8)
    tree = morphology.max_tree(inside)
    spots = morphology.diameter_opening(inside, 25, parent=tree[0], tree_traverser=tree[1])
    labels, n = measure.label(inside - spots > 15, return_num=True)
    table = measure.regionprops_table(labels, inside, properties=["area", "intensity_mean", "eccentricity"])
    return flat(n, *(np.max(v, initial=0) for v in table.values()), table["area"].sum())
