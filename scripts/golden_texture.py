"""Prints what reference libraries measure in 110 real cells, for crates/wbc-morphology/tests/golden_texture.rs.

usage: python golden_texture.py DATA PNGS > crates/wbc-morphology/tests/golden/texture.json.gz
made with: scikit-image 0.26.0, mahotas 1.4.19, cp_measure 0.3.0 (CellProfiler), scipy 1.17.1, numpy 2.4.6, Pillow 13.0.0

DATA is the folder of WBC_CLIP_DATA. PNGS has the PBC images as this project decodes them, since JPEG decoders differ by
a grey level:

    WBC_CLIP_DATA=... WBC_CLIP_PNGS=PNGS cargo test -p wbc-morphology --test golden_texture -- --ignored

Cells: all odd-numbered ones of zheng2018 Dataset 2, the first 40 crops of bccd, both with their experts' masks, and the
first four images of five classes of PBC, with the masks of `simple_masks`, which come along, packed.
Nucleus: mask 255; cell: mask >= 64; cytoplasm: the rest of the cell. A cytoplasm of less than 10 px has no values.
grey: (299 R + 587 G + 114 B + 500) // 1000.
"""
import base64, gzip, json, os, sys, warnings

os.environ.setdefault('OMP_NUM_THREADS', '1')
import mahotas, numpy as np
from cp_measure.core.measureobjectintensity import get_intensity
from PIL import Image
from scipy import ndimage as ndi, stats
from skimage.color import rgb2hed, rgb2lab
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from skimage.filters import threshold_otsu
from skimage.morphology import closing, diamond, opening
from skimage.segmentation import find_boundaries

warnings.filterwarnings('ignore')
PROPERTIES = ['contrast', 'dissimilarity', 'homogeneity', 'ASM', 'energy', 'correlation', 'mean', 'variance', 'std', 'entropy']
HARALICK = ['asm', 'contrast', 'correlation', 'variance', 'homogeneity', 'sum_average', 'sum_variance', 'sum_entropy', 'entropy',
            'difference_variance', 'difference_entropy', 'imc1', 'imc2']
PBC = ['basophil', 'eosinophil', 'lymphocyte', 'monocyte', 'neutrophil']


def intensity(mask, grey):
    v = grey[mask].astype(float)
    edge = grey[find_boundaries(mask, mode='inner', connectivity=1) & mask].astype(float)
    out = {'mean': v.mean(), 'std': v.std(), 'min': v.min(), 'max': v.max(), 'median': np.median(v), 'p05': np.percentile(v, 5),
           'p95': np.percentile(v, 95), 'skew': stats.skew(v), 'kurtosis': stats.kurtosis(v), 'mad': stats.median_abs_deviation(v)}
    if len(edge):
        out.update(edge_mean=edge.mean(), edge_std=edge.std())
    middle, heavy = np.array(ndi.center_of_mass(mask)), np.array(ndi.center_of_mass(mask * grey.astype(float)))
    displacement = np.hypot(*(middle - heavy))
    out['mass_displacement'] = displacement / np.sqrt(4 * mask.sum() / np.pi)
    cellprofiler = get_intensity(mask.astype(np.int32), grey.astype(float))
    assert np.isclose(cellprofiler['Intensity_MassDisplacement'][0], displacement, rtol=1e-9, atol=1e-9)
    if len(edge):
        assert np.isclose(cellprofiler['Intensity_MeanIntensityEdge'][0], edge.mean(), rtol=1e-9)
        assert np.isclose(cellprofiler['Intensity_StdIntensityEdge'][0], edge.std(), rtol=1e-9)
    return {f'intensity_{k}': v for k, v in out.items()}


def mean_over_directions(values):
    """A direction without a pair has no values."""
    return float(np.nanmean(values))


def co_occurrence(mask, grey):
    rows, columns = np.where(mask.any(1))[0], np.where(mask.any(0))[0]
    box = np.s_[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    levels = np.where(mask, (grey >> 2).astype(int) + 1, 0).astype(np.uint8)[box]
    out = {}
    for distance in (1, 3, 5):
        angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
        matrix = graycomatrix(levels, [distance], angles, levels=65, symmetric=True)[1:, 1:].astype(float)
        matrix /= matrix.sum((0, 1), keepdims=True)
        for p in PROPERTIES:
            out[f'texture.{p.lower()}.d{distance}.l64'] = mean_over_directions(graycoprops(matrix, p)[0])
    try:
        features = mahotas.features.haralick(levels, ignore_zeros=True).mean(0)
        out.update({f'mahotas.{name}': v for name, v in zip(HARALICK, features)})
    except ValueError:  # a direction without a pair
        pass
    return out


def patterns(mask, grey):
    """Bins of local binary patterns with ties as ties, and how many pixels scikit-image puts elsewhere."""
    c = np.pad(grey.astype(int), 1)
    height, width = grey.shape
    at = lambda dy, dx: c[1 + dy:1 + dy + height, 1 + dx:1 + dx + width]
    around = [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]
    far, near = 70711, 29289  # of 100000: bilinear weights of a neighbour at 0.70711, 0.70711, exact
    bits = []
    for dy, dx in around:
        if dy and dx:
            sides = at(dy, 0) + at(0, dx)
            value = far * far * at(dy, dx) + far * near * sides + near * near * at(0, 0)
            bits.append(value >= 10**10 * at(0, 0))
        else:
            bits.append(at(dy, dx) >= at(0, 0))
    bits = np.array(bits)
    changes = (bits != np.roll(bits, 1, axis=0)).sum(0)
    bins = np.where(changes <= 2, bits.sum(0), 9)
    library = local_binary_pattern(grey, 8, 1, 'uniform').astype(int)
    # The only differences are where a diagonal neighbour equals its pixel to the last digit.
    ties = np.zeros_like(mask)
    for dy, dx in around[1::2]:
        sides = at(dy, 0) + at(0, dx)
        ties |= (at(dy, dx) == at(0, 0)) & (sides == 2 * at(0, 0))
    assert not ((library != bins) & ~ties).any()
    share = np.bincount(bins[mask], minlength=10) / mask.sum()
    return {f'texture.lbp{i}': s for i, s in enumerate(share)}, float((library != bins)[mask].mean())


def colours(mask, rgb):
    hed, lab = rgb2hed(rgb)[mask], rgb2lab(rgb)[mask]
    out = {}
    for i, name in enumerate(['haematoxylin', 'eosin', 'dab']):
        out[f'hed_{name}_mean'], out[f'hed_{name}_std'] = hed[:, i].mean(), hed[:, i].std()
    for i, name in enumerate('lab'):
        out[f'cielab_{name}_mean'], out[f'cielab_{name}_std'] = lab[:, i].mean(), lab[:, i].std()
    return out


def background_colour(rgb):
    """As src/stain.rs has it: needs only integers, so that it is the same here."""
    height, width = rgb.shape[:2]
    factor = -(-max(height, width) // 160)
    if factor < 2:
        padded = np.pad(rgb.astype(int), ((1, 1), (1, 1), (0, 0)), mode='reflect')
        down = padded[:-2] + 2 * padded[1:-1] + padded[2:]
        small = (down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:] + 8) >> 4
    else:
        rows, columns = height // factor, width // factor
        blocks = rgb[:rows * factor, :columns * factor].astype(int).reshape(rows, factor, columns, factor, 3).sum((1, 3))
        small = (blocks + factor * factor // 2) // (factor * factor)
    small = small.reshape(-1, 3)
    total = small.sum(1)
    return np.clip(np.median(small[total >= np.percentile(total, 70)], axis=0), 30, 255)


def macenko(rgb, nucleus, cytoplasm):
    """Macenko et al. 2009 on the cell's pixels, amounts by least squares."""
    od = -np.log((rgb + 1.0) / (background_colour(rgb) + 1.0))
    pixels = od[nucleus | cytoplasm]
    dark = pixels[(pixels >= 0.15).all(1)]
    if len(dark) < 100:
        return {}
    _, vectors = np.linalg.eigh(np.cov(dark.T))
    plane = vectors[:, [2, 1]]
    plane = plane * np.where(plane.sum(0) > 0, 1, -1)
    # The percentile is taken of a number that grows with the angle (its place on a square), as on the other side.
    x, y = (dark @ plane).T
    p = y / (abs(x) + abs(y))
    angles = np.where(x >= 0, p, np.where(y >= 0, 2 - p, -2 - p))
    found = []
    for q in np.percentile(angles, [1, 99]):
        b = 2 - q if q > 1 else -2 - q if q < -1 else q
        a = (1 - abs(b)) * (-1 if abs(q) > 1 else 1)
        v = plane @ [a, b]
        found.append(v / np.linalg.norm(v))
    low, high = found
    stains = np.array([low, high] if low[0] > high[0] else [high, low])
    out = {'cell.stain_angle': np.arccos(stains[0] @ stains[1])}
    for name, mask in (('nucleus', nucleus), ('cytoplasm', cytoplasm)):
        if mask.any():
            amounts = np.linalg.lstsq(stains.T, od[mask].T, rcond=None)[0]
            for i in (0, 1):
                out[f'{name}.stain{i + 1}_mean'], out[f'{name}.stain{i + 1}_std'] = amounts[i].mean(), amounts[i].std()
    return out


def grid_axis(start, end, length, zoom):
    """Weights (in 1/256) and nearest pixels of the grid on which the cell has a diameter of 70 px."""
    half = int(np.ceil((end - start) * zoom / 2 + 8))
    support = max(1 / zoom, 1.0)
    count = 2 * half + (end - start) % 2
    weights, nearest = np.zeros((count, length)), []
    for i in range(count):
        at = (start + end - 1) / 2 + (i - (count - 1) / 2) / zoom
        nearest.append(min(max(int(np.floor(at + 0.5)), 0), length - 1))
        around = np.arange(int(np.ceil(at - support)), int(np.floor(at + support)) + 1)
        triangle = np.maximum(1 - abs(around - at) / support, 0)
        whole = np.rint(256 * triangle / triangle.sum())
        whole[np.argmax(whole)] += 256 - whole.sum()
        np.add.at(weights[i], np.clip(around, 0, length - 1), whole)
    return weights, np.array(nearest)


def on_the_grid(rgb, nucleus, cytoplasm, cell):
    """Granularity and radial distribution of grey."""
    rows, columns = np.where(cell.any(1))[0], np.where(cell.any(0))[0]
    zoom = 70 / np.sqrt(4 * cell.sum() / np.pi)
    wy, ny = grid_axis(rows[0], rows[-1] + 1, cell.shape[0], zoom)
    wx, nx = grid_axis(columns[0], columns[-1] + 1, cell.shape[1], zoom)
    small = np.stack([np.floor(wy @ rgb[..., c] @ wx.T / 65536 + 0.5) for c in range(3)], -1).astype(int)
    grey = ((small * [299, 587, 114]).sum(-1) + 500) // 1000
    grey = grey.astype(np.uint8)
    out = {}
    for name, mask in (('nucleus', nucleus), ('cytoplasm', cytoplasm), ('cell', cell)):
        inside = mask[np.ix_(ny, nx)]
        if not inside.any():
            continue
        if name != 'cell':
            for polarity, operation in (('bright', opening), ('dark', closing)):
                means = [operation(grey, diamond(r))[inside].astype(float).mean() for r in range(6)]
                for r in range(1, 6):
                    out[f'{name}.granularity_{polarity}{r}'] = 100 * abs(means[r] - means[r - 1]) / means[0]
        if name != 'cytoplasm':
            depth = ndi.distance_transform_edt(inside).astype(np.float32)
            deepest = float(depth.max())
            ring = np.minimum(((1 - depth.astype(float) / deepest) * 4).astype(int), 3)
            ys, xs = np.where(inside)
            dy, dx = ys * len(ys) - ys.sum(), xs * len(xs) - xs.sum()
            wedge = (dx > 0) + 2 * (dy > 0) + 4 * (abs(dx) > abs(dy))
            on_a_line = (dx == 0) | (dy == 0) | (abs(dx) == abs(dy))
            v, r = grey[inside].astype(float), ring[inside]
            for k in range(4):
                if not (r == k).any() or v.sum() == 0:
                    continue
                share = v[r == k].sum() / v.sum()
                of = lambda quantity: f'{name}.radial.{quantity}.{k + 1}of4.grey'
                out[of('frac_at_d')], out[of('mean_frac')] = share, share / (r == k).mean()
                means = [v[(r == k) & ~on_a_line & (wedge == w)] for w in range(8)]
                means = np.array([m.mean() for m in means if len(m)])
                if len(means) and means.mean() > 0:
                    out[of('radial_cv')] = means.std() / means.mean()
    return out


def measured(rgb, nucleus, cell):
    rgb = rgb.astype(np.int64)
    grey = ((rgb * [299, 587, 114]).sum(-1) + 500) // 1000
    grey, eight = grey.astype(np.uint8), rgb.astype(np.uint8)
    cytoplasm = cell & ~nucleus
    out, misplaced = {}, []
    for name, mask in (('nucleus', nucleus), ('cytoplasm', cytoplasm), ('cell', cell)):
        if mask.sum() < 10:
            continue
        values = {**intensity(mask, grey), **co_occurrence(mask, grey)}
        if name != 'cell':
            shares, elsewhere = patterns(mask, grey)
            values.update(shares, **colours(mask, eight))
            misplaced.append(elsewhere)
        out.update({f'{name}.{k}': v for k, v in values.items()})
    if cytoplasm.sum() >= 10:
        out.update(macenko(rgb, nucleus, cytoplasm))
        out.update(on_the_grid(rgb, nucleus, cytoplasm, cell))
        if nucleus.any():
            contrast = [out[f'nucleus.cielab_{c}_mean'] - out[f'cytoplasm.cielab_{c}_mean'] for c in 'lab']
            out['contrast.delta_e'] = np.sqrt(np.square(contrast).sum())
    return {k: float(v) for k, v in out.items() if np.isfinite(v)}, misplaced


def simple_masks(rgb):
    """The darkest third of green around the middle, and what is darker than the background there."""
    green = ndi.uniform_filter(rgb[..., 1].astype(float), 5)
    threshold = threshold_otsu(green)
    height, width = green.shape
    ys, xs = np.mgrid[:height, :width]
    near = np.hypot(ys - height / 2, xs - width / 2) < 0.3 * min(height, width)
    nucleus = (green < threshold_otsu(green[green < threshold])) & near
    cell = (green < threshold) & near | ndi.binary_dilation(nucleus, iterations=3)
    return nucleus, cell


def cells(data, pngs):
    for number in range(1, 101, 2):
        path = f'{data}/zheng2018/Dataset 2/{number:03d}'
        mask = np.array(Image.open(path + '.png').convert('L'))
        yield f'zheng2018/Dataset 2/{number:03d}.bmp', path + '.bmp', mask
    for name in sorted(os.listdir(f'{data}/bccd/crops'))[:40]:
        mask = np.array(Image.open(f'{data}/bccd/crop_masks/{name}').convert('L'))
        yield f'bccd/crops/{name}', f'{data}/bccd/crops/{name}', mask
    for kind in PBC:
        for name in sorted(os.listdir(f'{data}/pbc/PBC_dataset_normal_DIB/{kind}'))[:4]:
            yield f'pbc/PBC_dataset_normal_DIB/{kind}/{name}', f'{pngs}/{os.path.splitext(name)[0]}.png', None


def main(data, pngs):
    import skimage, scipy
    items, misplaced = [], []
    for name, path, mask in cells(data, pngs):
        rgb = np.array(Image.open(path).convert('RGB'))
        item = {'file': name}
        if mask is None:
            nucleus, cell = simple_masks(rgb)
            for part, m in (('nucleus', nucleus), ('cell', cell)):
                item[part] = base64.b64encode(np.packbits(m)).decode()
        else:
            nucleus, cell = mask == 255, mask >= 64
        item['values'], elsewhere = measured(rgb, nucleus, cell)
        misplaced += elsewhere
        items.append(item)
    print(f'{len(items)} cells; scikit-image puts {100 * np.mean(misplaced):.2f} % of pixels into other bins of local binary '
          f'patterns (ties), at most {100 * np.max(misplaced):.2f} %', file=sys.stderr)
    versions = {'scikit-image': skimage.__version__, 'mahotas': mahotas.__version__, 'scipy': scipy.__version__, 'numpy': np.__version__}
    names = sorted({k for item in items for k in item['values']})
    for item in items:  # one list of names for all keeps the file small
        item['values'] = [item['values'].get(k) for k in names]
    text = json.dumps({'versions': versions, 'names': names, 'items': items}).encode()
    sys.stdout.buffer.write(gzip.compress(text, 9, mtime=0))


if __name__ == '__main__':
    main(*sys.argv[1:])
