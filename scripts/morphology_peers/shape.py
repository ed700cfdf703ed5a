"""Sizes, shape, outline, moments, lobes and layout."""

import cv2
import mahotas
import numpy as np
from scipy import ndimage as ndi
from skimage import measure, morphology, segmentation

from cell import background, box, contours, diameter, flat, group, parts


@group("sizes", 2, "OpenCV")
def sizes_cv(cell):
    return flat(*(diameter(cv2.countNonZero(m)) for m in (cell.cell, cell.nucleus)))


@group("sizes", 2, "numpy")
def sizes_np(cell):
    return flat(*(diameter(np.count_nonzero(m)) for m in (cell.cell, cell.nucleus)))


@group("sizes", 2, "scikit-image")
def sizes_sk(cell):
    of = lambda m: measure.regionprops_table(m, properties=["equivalent_diameter_area"])["equivalent_diameter_area"]
    return flat(of(cell.cell), of(cell.nucleus))


REGION = ["area", "area_bbox", "area_convex", "area_filled", "axis_major_length", "axis_minor_length", "bbox", "centroid",
          "centroid_local", "eccentricity", "equivalent_diameter_area", "euler_number", "extent", "feret_diameter_max",
          "inertia_tensor", "inertia_tensor_eigvals", "moments", "moments_central", "moments_hu", "moments_normalized",
          "num_pixels", "orientation", "perimeter", "perimeter_crofton", "solidity"]


@parts("region_props", 94, "scikit-image", ["nucleus", "cell"])
def region_props_sk(_, mask):
    return flat(*measure.regionprops_table(mask, properties=REGION).values())


@parts("region_props", 94, "OpenCV", ["nucleus", "cell"], less=True)
def region_props_cv(_, mask):
    """No convex image, no Crofton perimeter, no moments above the third order."""
    moments = cv2.moments(mask, binaryImage=True)
    points = contours(mask)
    hull = cv2.convexHull(np.vstack(points))
    bounds = cv2.boundingRect(mask)
    depth = cv2.distanceTransform(mask[box(mask)], cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return flat(list(moments.values()), cv2.HuMoments(moments), sum(cv2.arcLength(c, True) for c in points),
                sum(cv2.contourArea(c) for c in points), cv2.contourArea(hull), cv2.minEnclosingCircle(hull)[1],
                cv2.minAreaRect(hull)[1], bounds, depth.max(), cv2.countNonZero(mask))


def shape_of(mask):
    at = mask[box(mask)]
    at = cv2.copyMakeBorder(at, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    points = [c for c in contours(at) if len(c) > 5]
    largest = max(points, key=cv2.contourArea)
    hull = cv2.convexHull(np.vstack(points))
    area = cv2.countNonZero(at)
    radius = np.sqrt(area / np.pi)
    length = sum(cv2.arcLength(c, True) for c in points)
    _, axes, _ = cv2.fitEllipse(np.vstack(points))
    hu = np.log10(np.abs(cv2.HuMoments(cv2.moments(at, binaryImage=True))[:4]) + 1e-12)
    defects = cv2.convexityDefects(largest, cv2.convexHull(largest, returnPoints=False))
    depths = np.zeros(3)
    if defects is not None:
        deepest = np.sort(defects.reshape(-1, 4)[:, 3])[::-1][:3] / 256
        depths[:len(deepest)] = deepest
    inner = cv2.distanceTransform(at, cv2.DIST_L2, 5)
    most = inner.max()
    lobes = [cv2.connectedComponents((inner > s * most).astype(np.uint8))[0] - 1 for s in (0.35, 0.5, 0.65, 0.8)]
    hull_area = cv2.contourArea(hull) + 1
    return flat(len(points), 4 * np.pi * area / length ** 2, area / hull_area, min(axes) / max(axes), length / radius,
                most / radius, hu, depths / radius, lobes, length / cv2.arcLength(hull, True),
                hull_area / (np.pi * axes[0] * axes[1] / 4 + 1), cv2.minEnclosingCircle(hull)[1] / radius)


@parts("shape", 20, "OpenCV", ["nucleus", "cell"])
def shape_cv(_, mask):
    return shape_of(mask)


@parts("shape", 20, "scikit-image", ["nucleus", "cell"], less=True)
def shape_sk(_, mask):
    """Properties of the same meaning; no bays, no enclosing circle."""
    values = measure.regionprops_table(mask, properties=[
        "area", "perimeter", "solidity", "axis_major_length", "axis_minor_length", "moments_hu", "area_convex"])
    inner = ndi.distance_transform_edt(mask[box(mask, 1)])
    most = inner.max()
    lobes = [measure.label(inner > s * most, return_num=True)[1] for s in (0.35, 0.5, 0.65, 0.8)]
    return flat(*values.values(), most, lobes)


def outline_of(x, y, area, hull):
    """Calliper widths of the hull; the rest from the Fourier series of the contour to order 16, smoothed."""
    angles = np.linspace(0, np.pi, 180, endpoint=False)
    widths = np.ptp(hull @ np.array([np.cos(angles), np.sin(angles)]), axis=0) + 1
    step = np.hypot(np.diff(x, append=x[0]), np.diff(y, append=y[0]))
    at = np.concatenate([[0], np.cumsum(step)])
    even = np.linspace(0, at[-1], 256, endpoint=False)
    curve = np.interp(even, at, np.append(x, x[0])) + 1j * np.interp(even, at, np.append(y, y[0]))
    series = np.fft.fft(curve) / 256
    orders = np.fft.fftfreq(256, 1 / 256)
    amplitudes = np.hypot(np.abs(series[1:9]), np.abs(series[:-9:-1]))
    low = np.where(np.abs(orders) <= 16, series * np.exp(-0.5 * (2 * np.pi * orders * 0.03) ** 2), 0) * 256
    smooth, first, second = (np.fft.ifft(low * (2j * np.pi * orders) ** k) for k in range(3))
    speed = np.abs(first)
    length = speed.mean()
    enclosed = abs(np.imag(np.conj(smooth) * first).mean()) / 2
    curvature = np.imag(np.conj(first) * second) / speed ** 3
    outer = cv2.convexHull(np.column_stack([smooth.real, smooth.imag]).astype(np.float32))
    distance = np.abs(smooth - smooth.mean())
    size = diameter(area)
    return flat(widths.max() / size, widths.min() / size, widths.min() / widths.max(), (size / widths.max()) ** 2,
                4 * np.pi * enclosed / length ** 2, cv2.arcLength(outer, True) / length,
                (curvature ** 2 * speed).mean() * length / (4 * np.pi ** 2), distance.std() / distance.mean(),
                amplitudes / amplitudes[0])


@parts("outline", 17, "OpenCV + numpy", ["nucleus", "cell"])
def outline_cv(_, mask):
    points = max(contours(mask), key=cv2.contourArea)
    moments = cv2.moments(mask, binaryImage=True)
    compactness = moments["m00"] ** 2 / (2 * np.pi * (moments["mu20"] + moments["mu02"]))
    x, y = points.reshape(-1, 2).T.astype(float)
    return flat(outline_of(x, y, moments["m00"], cv2.convexHull(points).reshape(-1, 2)), compactness)


@parts("outline", 17, "scikit-image + numpy", ["nucleus", "cell"])
def outline_sk(_, mask):
    region = measure.regionprops(mask)[0]
    points = max(measure.find_contours(np.pad(region.image, 1).astype(float), 0.5), key=len)
    return flat(outline_of(points[:-1, 1], points[:-1, 0], region.area, points), region.feret_diameter_max)


@parts("zernike", 25, "mahotas", ["nucleus", "cell"])
def zernike_mh(_, mask):
    at = mask[box(mask)]
    _, radius = cv2.minEnclosingCircle(np.vstack(contours(at)))
    return mahotas.features.zernike_moments(at, int(radius) + 1, degree=8)


@group("lobes", 50, "OpenCV + scikit-image", less=True)
def lobes_cv(cell):
    """Skeleton, depths, bays and parts of the mask at the same scale; no necks, no dark core, no hills."""
    mask = nucleus_at_64(cell)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    along = depth[morphology.skeletonize(mask.astype(bool))]
    return flat(shape_of(mask), cv2.connectedComponents(mask)[0] - 1, len(along), along.min(), along.max(), along.std(),
                [cv2.connectedComponents((depth > s * depth.max()).astype(np.uint8))[0] - 1 for s in (0.4, 0.55, 0.7)])


@group("lobes", 50, "scikit-image", less=True)
def lobes_sk(cell):
    """Skeleton, depths, hills of depth at two levels and the parts by a watershed; no necks, no dark core."""
    mask = nucleus_at_64(cell).astype(bool)
    depth = ndi.distance_transform_edt(mask)
    along = depth[morphology.skeletonize(mask)]
    hills = [measure.label(morphology.h_maxima(depth, h * depth.max()), return_num=True) for h in (0.1, 0.25)]
    lobes = segmentation.watershed(-depth, hills[0][0], mask=mask)
    areas = np.sort(np.bincount(lobes.ravel())[1:])[::-1][:3]
    return flat(measure.euler_number(mask), len(along), along.min(), along.max(), along.std(), [n for _, n in hills],
                areas / mask.sum())


def nucleus_at_64(cell):
    at = cell.nucleus[box(cell.nucleus, 2)]
    zoom = 64 / diameter(cv2.countNonZero(at))
    return cv2.resize(at, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)


@group("layout", 4, "OpenCV + numpy")
def layout_cv(cell):
    nucleus, whole = (cv2.moments(m, binaryImage=True) for m in (cell.nucleus, cell.cell))
    centre = lambda m: np.array([m["m10"], m["m01"]]) / m["m00"]
    share = nucleus["m00"] / whole["m00"]
    table = -np.log(np.clip(np.arange(256)[:, None] / background(cell.rgb), 0.004, 1.05))
    inside = cell.rgb[cell.nucleus.view(bool)]
    density = np.median(table[inside[:, 0], 0] + table[inside[:, 1], 1] + table[inside[:, 2], 2])
    offset = np.linalg.norm(centre(nucleus) - centre(whole)) / diameter(whole["m00"])
    return flat(share, share / (1 - share), offset, density)
