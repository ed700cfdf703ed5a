# Writes shape.json.gz: reference values of the shape of 120 cells from three sets, for
# crates/wbc-morphology/tests/shape_golden.rs.
#
#   python3 -m venv venv
#   venv/bin/pip install numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0 mahotas==1.4.19 pyefd==1.8.0 pillow \
#       opencv-python-headless==5.0.0.93
#   venv/bin/python scripts/golden_morphology.py DATA crates/wbc-morphology/tests/golden/shape.json.gz
#
# DATA is the folder that the tests know as WBC_CLIP_DATA. The cells:
#   zheng2018  the 50 odd-numbered cells of Dataset 2, masks drawn by experts
#   bccd       the first 40 crops by name, masks drawn by experts
#   pbc        the first 6 images by name of five class folders; masks made here (`own_masks`) and stored in the file
# Nucleus: mask == 255, cell: mask >= 64. A mask is one region, however many components it has.
#
# Names are those of the table of measurements without the compartment:
#   scikit-image   regionprops_table's (row before column); `perimeter_neighborhood_8`, `perimeter_crofton_directions_2`
#                  and `euler_number_connectivity_1` are measure.perimeter, perimeter_crofton and euler_number with these
#                  parameters. Normalised moments below second order are NaN there and left out.
#   scipy          `distance_transform_max`: largest value of ndimage.distance_transform_edt on the frame
#   OpenCV         `contour_length`, `contour_area`: summed over the external contours (CHAIN_APPROX_NONE) of all
#                  components; `contour_hull_area`: hull of all of them. Steps of a contour are 1 or sqrt(2) long and added
#                  here in 64 bits; arcLength adds in 32 and is held against this sum.
#   pyefd          `outline.fourier-n`: root of the sum of the squared normalised coefficients of order n, on the external
#                  contour of largest area. Undefined for contours of at most 5 points.
#   mahotas        `zernike-n-l`: zernike_moments of degree 8, radius floor(feret_diameter_max / 2) + 1
import gzip
import json
import sys
from pathlib import Path

import cv2
import mahotas
import numpy as np
import pyefd
import scipy
import skimage
from PIL import Image, __version__ as pillow
from scipy import ndimage
from skimage import filters, measure

SCALARS = ['area', 'area_bbox', 'area_convex', 'area_filled', 'axis_major_length', 'axis_minor_length', 'eccentricity',
           'equivalent_diameter_area', 'euler_number', 'extent', 'feret_diameter_max', 'num_pixels', 'orientation',
           'perimeter', 'perimeter_crofton', 'solidity']
ARRAYS = ['bbox', 'centroid', 'centroid_local', 'inertia_tensor', 'inertia_tensor_eigvals', 'moments', 'moments_central',
          'moments_normalized', 'moments_hu']
DEGREE = 8
ORDERS = 8
MAX_SPECK_POINTS = 5


def region_properties(mask):
    region = measure.regionprops(mask.astype(np.uint8))[0]
    values = {name: region[name] for name in SCALARS}
    for name in ARRAYS:
        array = np.asarray(region[name])
        for at in np.ndindex(array.shape):
            if name != 'moments_normalized' or sum(at) >= 2:
                values['-'.join([name, *map(str, at)])] = array[at]
    values['perimeter_neighborhood_8'] = measure.perimeter(mask, 8)
    values['perimeter_crofton_directions_2'] = measure.perimeter_crofton(mask, 2)
    values['euler_number_connectivity_1'] = measure.euler_number(mask, connectivity=1)
    return values


def contours(mask):
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = [c[:, 0].astype(float) for c in found]
    steps = [np.roll(p, -1, axis=0) - p for p in points]
    length = sum(np.hypot(s[:, 0], s[:, 1]).sum() for s in steps)
    assert abs(length - sum(cv2.arcLength(c, True) for c in found)) <= 1e-6 * max(length, 1)
    largest = max(found, key=cv2.contourArea)[:, 0].astype(float)
    amplitudes = [None] * ORDERS
    if len(largest) > MAX_SPECK_POINTS:
        coefficients = pyefd.elliptic_fourier_descriptors(largest, order=ORDERS, normalize=True)
        amplitudes = np.sqrt((coefficients ** 2).sum(axis=1))
    return {
        'contour_length': length,
        'contour_area': sum(cv2.contourArea(c) for c in found),
        'contour_hull_area': cv2.contourArea(cv2.convexHull(np.concatenate(found))),
        **{f'outline.fourier-{n + 1}': a for n, a in enumerate(amplitudes)},
    }


def zernike(mask, feret):
    values = mahotas.features.zernike_moments(mask.astype(np.uint8), int(feret // 2) + 1, degree=DEGREE)
    orders = [(n, l) for n in range(DEGREE + 1) for l in range(n + 1) if (n - l) % 2 == 0]
    return {f'zernike-{n}-{l}': v for (n, l), v in zip(orders, values, strict=True)}


def shape(mask):
    if not mask.any():
        return None
    values = region_properties(mask)
    values['distance_transform_max'] = ndimage.distance_transform_edt(mask).max()
    values |= contours(mask) | zernike(mask, values['feret_diameter_max'])
    return {name: None if v is None or not np.isfinite(v) else round_trip(v) for name, v in values.items()}


def round_trip(value):
    value = float(value)
    return int(value) if value.is_integer() and abs(value) < 2 ** 53 else value


def own_masks(image):
    """0, 128 and 255 by two thresholds of green: nucleus and cell around the middle, with all holes and specks."""
    green = image[..., 1]
    low, high = filters.threshold_multiotsu(green, classes=3)
    height, width = green.shape
    labels = measure.label(green <= high)
    middle = np.hypot(*np.mgrid[-height / 2:height / 2, -width / 2:width / 2]) < 100
    cell = labels == np.bincount(labels[(green <= low) & middle & (labels > 0)]).argmax()
    return np.where(cell, np.where(green <= low, 255, 128), 0).astype(np.uint8)


def grey(path):
    return np.array(Image.open(path).convert('L'))


def cells(data):
    """Set, file below DATA and mask of every cell."""
    for number in range(1, 100, 2):
        path = f'zheng2018/Dataset 2/{number:03}.png'
        yield 'zheng2018', path, grey(data / path)
    for path in sorted((data / 'bccd/crops').glob('*.png'))[:40]:
        name = f'bccd/crop_masks/{path.name}'
        yield 'bccd', name, grey(data / name)
    for folder in ('basophil', 'eosinophil', 'lymphocyte', 'monocyte', 'neutrophil'):
        for path in sorted((data / 'pbc/PBC_dataset_normal_DIB' / folder).glob('*.jpg'))[:6]:
            yield 'pbc', f'{folder}/{path.name}', own_masks(np.array(Image.open(path).convert('RGB')))


def runs(mask):
    """Row-major run lengths of the mask's values: value, length, value, length…"""
    flat = mask.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff(np.concatenate([starts, [flat.size]]))
    return [int(v) for pair in zip(flat[starts], lengths) for v in pair]


def main():
    items, names = [], None
    for origin, file, mask in cells(Path(sys.argv[1])):
        item = {'set': origin, 'file': file, 'height': mask.shape[0], 'width': mask.shape[1]}
        if origin == 'pbc':
            item['runs'] = runs(mask)
        for part, values in (('nucleus', shape(mask == 255)), ('cell', shape(mask >= 64))):
            names = names or list(values)
            assert values is None or list(values) == names
            item[part] = values and list(values.values())
        items.append(item)
        print(len(items), file, flush=True)
    versions = {'scikit-image': skimage.__version__, 'scipy': scipy.__version__, 'numpy': np.__version__,
                'opencv': cv2.__version__, 'mahotas': mahotas.__version__, 'pyefd': '1.8.0', 'pillow': pillow}
    text = json.dumps({'versions': versions, 'names': names, 'items': items}, separators=(',', ':'))
    with open(sys.argv[2], 'wb') as file, gzip.GzipFile('', 'wb', 9, file, mtime=0) as out:
        out.write(text.encode())


main()
