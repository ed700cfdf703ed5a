# Prints golden.json: reference values of five cells of Zheng 2018, Dataset 2, for tests/golden.rs.
# usage: python make_golden.py FOLDER/zheng2018 > golden.json
# made with: scikit-image 0.26.0, OpenCV 5.0.0, numpy 2.4.6, Pillow 11.3.0
#
# nucleus: mask == 255, cell: mask >= 64; each mask is one region, however many components it has.
# grey: (299 R + 587 G + 114 B + 500) // 1000. glcm: grey // 4 + 1 inside the mask, 0 outside; distance 1 at 0, 45 and
# 90 degrees, symmetric, level 0 dropped, each angle normalised to sum 1.
import json, sys
import cv2, numpy as np, skimage
from PIL import Image, __version__ as pillow
from skimage.feature import graycomatrix, graycoprops
from skimage.measure import regionprops

PROPERTIES = ['area', 'area_convex', 'equivalent_diameter_area', 'perimeter', 'perimeter_crofton', 'axis_major_length',
              'axis_minor_length', 'feret_diameter_max', 'eccentricity', 'solidity', 'extent', 'euler_number']


def one(mask, grey):
    m8 = mask.astype(np.uint8)
    region = regionprops(m8)[0]
    levels = np.where(mask, (grey >> 2) + 1, 0).astype(np.uint8)
    matrix = graycomatrix(levels, [1], [0, np.pi / 4, np.pi / 2], levels=65, symmetric=True)[1:, 1:].astype(float)
    matrix /= matrix.sum((0, 1), keepdims=True)
    contours = [c for c in cv2.findContours(m8, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0] if len(c) > 5]
    points = np.concatenate(contours)
    hull, area = cv2.convexHull(points), int(mask.sum())
    radius, hull_area = np.sqrt(area / np.pi), cv2.contourArea(hull) + 1
    perimeter = sum(cv2.arcLength(c, True) for c in contours)
    minor, major = sorted(cv2.fitEllipse(points)[1])
    inner = cv2.distanceTransform(np.pad(m8, 1), cv2.DIST_L2, 5)
    largest = max(contours, key=cv2.contourArea)
    depths = cv2.convexityDefects(largest, cv2.convexHull(largest, returnPoints=False)).reshape(-1, 4)[:, 3] / 256 / radius
    deepest = sorted(depths, reverse=True)[:3]
    lobes = {t: cv2.connectedComponents((inner > t / 100 * inner.max()).astype(np.uint8))[0] - 1 for t in (35, 50, 65, 80)}
    hu = cv2.HuMoments(cv2.moments(m8, True)).ravel()
    return {
        'regionprops': {p: float(region[p]) for p in PROPERTIES},
        'glcm': {p: graycoprops(matrix, p)[0].tolist() for p in ('contrast', 'dissimilarity', 'homogeneity', 'energy', 'correlation')},
        'opencv': {'components': len(contours), 'contour_circularity': 4 * np.pi * area / perimeter ** 2,
                   'contour_solidity': area / hull_area, 'ellipse_axis_ratio': minor / major,
                   'perimeter_per_radius': perimeter / radius, 'inner_radius': float(inner.max()) / radius,
                   **{f'hu{i + 1}_log10': float(np.log10(abs(hu[i]) + 1e-12)) for i in range(4)},
                   **{f'concavity_depth{i + 1}': float(d) for i, d in enumerate(deepest)},
                   **{f'lobes_at_{t}': n for t, n in lobes.items()},
                   'perimeter_per_hull': perimeter / cv2.arcLength(hull, True),
                   'hull_per_ellipse': hull_area / (np.pi * major * minor / 4 + 1),
                   'enclosing_radius': cv2.minEnclosingCircle(hull)[1] / radius},
    }


items = []
for name in ('001', '003', '025', '040', '077'):
    path = f'{sys.argv[1]}/Dataset 2/{name}'
    rgb = np.array(Image.open(path + '.bmp').convert('RGB')).astype(np.int64)
    mask = np.array(Image.open(path + '.png').convert('L'))
    grey = ((rgb[..., 0] * 299 + rgb[..., 1] * 587 + rgb[..., 2] * 114 + 500) // 1000).astype(np.uint8)
    items.append({'id': name, 'nucleus': one(mask == 255, grey), 'cell': one(mask >= 64, grey)})
versions = {'scikit-image': skimage.__version__, 'opencv': cv2.__version__, 'numpy': np.__version__, 'pillow': pillow}
json.dump({'versions': versions, 'items': items}, sys.stdout, indent=1)
print()
