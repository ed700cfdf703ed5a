# Nucleus and cell masks by the usual unsupervised methods, on the files on which `wbc-clip segment --evaluate` is
# measured: three-class multi-Otsu, GrabCut and watershed.
# usage: python segmentation_baselines.py DATA   (the folder with zheng2018 and bccd, as in WBC_CLIP_DATA)
# made with: scikit-image 0.26.0, OpenCV 5.0.0, numpy 2.4.6, scipy 1.17.1
#
# The nucleus is the same for all three: upper class of three-class multi-Otsu on the saturation after the background
# colour is divided out (the best single score of those tried), opened, the central cluster kept, holes filled. The cell:
# multi-Otsu: what is above the lower threshold of optical density and joined to the nucleus, holes filled;
# watershed: the same parted from its neighbours by a watershed of the distance transform, marker at the nucleus;
# GrabCut: five rounds from the watershed's result, nucleus for sure, far away surely not.
import os
os.environ.setdefault('OMP_NUM_THREADS', '1')
import glob, sys, time
import cv2, numpy as np
from scipy import ndimage as ndi
from skimage.filters import threshold_multiotsu
from skimage.segmentation import watershed


def read(path):
    return cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def disc(radius):
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def background(rgb):
    total = rgb.sum(2)
    return np.clip(np.median(rgb[total >= np.percentile(total, 70)], axis=0), 30, 255)


def otsu3(values):
    low, high = np.percentile(values, [0.1, 99.9])
    try:
        return threshold_multiotsu(np.clip(values, low, high), 3)
    except ValueError:
        return values.mean(), values.mean() + values.std()


def nucleus(rgb):
    share = np.clip(cv2.GaussianBlur(rgb, (3, 3), 0) / background(rgb), 0.01, 1)
    saturation = 1 - share.min(2) / share.max(2)
    dark = (saturation > otsu3(saturation)[1]).astype(np.uint8)
    n, labels, stats, centres = cv2.connectedComponentsWithStats(cv2.morphologyEx(dark, cv2.MORPH_OPEN, disc(1)))
    if n < 2:
        return np.zeros(dark.shape, bool)
    height, width = dark.shape
    off = np.hypot(centres[1:, 0] - width / 2, centres[1:, 1] - height / 2) / (min(width, height) / 2)
    areas = stats[1:, cv2.CC_STAT_AREA]
    main = 1 + np.argmax(areas * np.exp(-(off / 0.6) ** 2))
    distance = cv2.distanceTransform((labels != main).astype(np.uint8), cv2.DIST_L2, 5)
    radius = np.sqrt(stats[main, cv2.CC_STAT_AREA] / np.pi)
    kept = [i for i in range(1, n) if i == main
            or areas[i - 1] >= 0.1 * stats[main, cv2.CC_STAT_AREA] and distance[labels == i].min() < 0.6 * radius]
    return ndi.binary_fill_holes(np.isin(labels, kept))


def foreground(rgb, nucleus):
    od = -np.log(np.clip(cv2.GaussianBlur(rgb, (3, 3), 0) / background(rgb), 0.01, 1)).sum(2)
    return (od > otsu3(od)[0]) | nucleus


def by_multi_otsu(rgb, nucleus):
    labels, _ = ndi.label(foreground(rgb, nucleus))
    return ndi.binary_fill_holes(np.isin(labels, np.unique(labels[nucleus]))) if nucleus.any() else nucleus


def by_watershed(rgb, nucleus):
    if not nucleus.any():
        return nucleus
    stained = ndi.binary_fill_holes(foreground(rgb, nucleus))
    depth = ndi.distance_transform_edt(stained)
    radius = np.sqrt(nucleus.sum() / np.pi)
    hull = cv2.fillPoly(np.zeros(nucleus.shape, np.uint8),
                        [cv2.convexHull(np.argwhere(nucleus)[:, ::-1].astype(np.int32))], 1) > 0
    peaks, _ = ndi.label((depth == ndi.maximum_filter(depth, int(radius / 2) | 1)) & (depth > radius / 4))
    far = ndi.distance_transform_edt(~hull) > radius / 2
    markers = np.where(far, peaks + 1, 0) * (peaks > 0)
    markers[hull] = 1
    return watershed(-depth, markers, mask=stained | hull) == 1


def by_grabcut(rgb, nucleus):
    if not nucleus.any():
        return nucleus
    start = by_watershed(rgb, nucleus)
    radius = np.sqrt(nucleus.sum() / np.pi)
    mask = np.where(start, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    mask[ndi.distance_transform_edt(~nucleus) > 2.5 * radius] = cv2.GC_BGD
    mask[nucleus] = cv2.GC_FGD
    if not (mask == cv2.GC_BGD).any() and not (mask == cv2.GC_PR_BGD).any():
        return start
    cv2.setRNGSeed(0)
    cv2.grabCut(rgb, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    labels, _ = ndi.label((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD))
    return ndi.binary_fill_holes(np.isin(labels, np.unique(labels[nucleus])))


def dice(a, b):
    both = a.sum() + b.sum()
    return 2 * (a & b).sum() / both if both else 1.0


def show(name, values, seconds):
    print(f'{name:28} mean {np.mean(values):.4f}  median {np.median(values):.4f}  under 0.5: {np.sum(np.array(values) < .5)}'
          f'  {1000 * seconds / len(values):.1f} ms CPU')


def main():
    data = sys.argv[1]
    sets = {
        'zheng2018-d2': [(p, p[:-3] + 'png') for p in sorted(glob.glob(f'{data}/zheng2018/Dataset 2/*.bmp'))],
        'bccd': [(p, p.replace('/crops/', '/crop_masks/')) for p in sorted(glob.glob(f'{data}/bccd/crops/*.png'))],
    }
    cv2.setNumThreads(1)
    for name, files in sets.items():
        images = [read(image) for image, _ in files]
        truth = [cv2.imread(mask, cv2.IMREAD_GRAYSCALE) for _, mask in files]
        begun = time.process_time()
        nuclei = [nucleus(image) for image in images]
        show(f'{name} nucleus', [dice(n, t == 255) for n, t in zip(nuclei, truth)], time.process_time() - begun)
        for label, method in (('multi-Otsu', by_multi_otsu), ('watershed', by_watershed), ('GrabCut', by_grabcut)):
            begun = time.process_time()
            cells = [method(image, n) for image, n in zip(images, nuclei)]
            show(f'{name} cell, {label}', [dice(c, t >= 64) for c, t in zip(cells, truth)], time.process_time() - begun)


if __name__ == '__main__':
    main()
