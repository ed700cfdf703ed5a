# Prints reference values for shape, intensity and texture measurements of five cells of Zheng 2018, Dataset 2.
# usage: python golden_morphology.py ../data/zheng2018   (scikit-image 0.26.0, mahotas 1.4.19, OpenCV 5.0.0, numpy 2.4.6, scipy 1.17.1)
# Its golden.json, with NaN as null, is reference.json.gz beside this file. scripts/golden_morphology.py covers more cells.
import os
os.environ.setdefault('OMP_NUM_THREADS','1')
import numpy as np, json, skimage, mahotas, scipy, cv2, sys, hashlib, platform
from PIL import Image
from skimage import measure
from skimage.feature import graycomatrix, graycoprops
PROPS=['area','area_bbox','area_convex','area_filled','axis_major_length','axis_minor_length','bbox','centroid','eccentricity','equivalent_diameter_area','euler_number','extent','feret_diameter_max','inertia_tensor','inertia_tensor_eigvals','moments','moments_central','moments_hu','moments_normalized','orientation','perimeter','perimeter_crofton','solidity']
def tolist(v):
    if isinstance(v,(np.ndarray,)): return v.tolist()
    if isinstance(v,tuple): return [tolist(x) for x in v]
    if isinstance(v,np.generic): return v.item()
    return v
def sha(p): return hashlib.sha256(open(p,'rb').read()).hexdigest()
OUT={'versions':{'python':platform.python_version(),'numpy':np.__version__,'scipy':scipy.__version__,'scikit-image':skimage.__version__,'mahotas':mahotas.__version__,'opencv':cv2.__version__,'pillow':Image.__version__},
 'conventions':{'mask_nucleus':'PNG gray value == 255','mask_cell':'PNG gray value >= 64 (128 cytoplasm + 255 nucleus; stray values 2..44 in Dataset 2 are background)','gray':'(R*299 + G*587 + B*114 + 500)//1000 as uint8','region':'whole mask is ONE region (label 1) even if several components','row_col':'centroid/bbox/orientation in (row, col) order as in skimage; orientation in radians from axis 0 (rows)','perimeter':'skimage perimeter neighborhood=4; perimeter_crofton directions=4','euler_number':'skimage connectivity=2 (8-conn)','glcm_skimage':'gray quantised floor(gray/4) to 64 levels, +1 inside mask / 0 outside -> 65 levels; graycomatrix distances [1], angles [0,45,90,135 deg], symmetric, NOT normalised; row 0 and col 0 dropped, then each angle normalised to sum 1; props via graycoprops on 64x64','haralick_mahotas':'same 0..64 image; mahotas.features.haralick(ignore_zeros=True), 4 directions x 13 (order: asm, contrast, correlation, variance, idm, sum average, sum variance, sum entropy, entropy, difference variance, difference entropy, imc1, imc2); log base 2','intensity':'gray pixels inside mask, population std (ddof=0), skew/kurtosis Fisher from scipy.stats','zernike':'mahotas.features.zernike_moments(mask uint8, radius=floor(feret_diameter_max/2)+1, degree=8, cm default)','opencv':'cv2.moments(binary), contours CHAIN_APPROX_NONE external'},'items':[]}
from scipy import stats
def one(m,g):
    r=measure.regionprops(m.astype(np.uint8),intensity_image=g)[0]
    d={p:tolist(r[p]) for p in PROPS}
    d['perimeter_nb8']=float(measure.perimeter(m,8)); d['perimeter_crofton_2dir']=float(measure.perimeter_crofton(m,2)); d['euler_conn4']=int(measure.euler_number(m,connectivity=1))
    d['circularity_4piA_P2']=float(4*np.pi*d['area']/d['perimeter']**2); d['aspect_major_minor']=d['axis_major_length']/d['axis_minor_length']
    v=g[m].astype(float); d['intensity']={'mean':v.mean(),'std':v.std(),'min':v.min(),'max':v.max(),'median':float(np.median(v)),'p05':float(np.percentile(v,5)),'p95':float(np.percentile(v,95)),'skew':float(stats.skew(v)),'kurtosis':float(stats.kurtosis(v))}
    q=np.where(m,(g>>2).astype(np.int32)+1,0).astype(np.uint8)
    G=graycomatrix(q,[1],[0,np.pi/4,np.pi/2,3*np.pi/4],levels=65,symmetric=True,normed=False)[1:,1:].astype(float); pairs=G.sum((0,1))[0]; G=G/G.sum((0,1),keepdims=True)
    d['glcm_skimage']={p:graycoprops(G,p)[0].tolist() for p in ('contrast','dissimilarity','homogeneity','ASM','energy','correlation','mean','variance','std','entropy')}; d['glcm_skimage']['pair_counts_symmetric']=pairs.tolist()
    d['haralick_mahotas']=mahotas.features.haralick(q,ignore_zeros=True).tolist()
    d['zernike_mahotas_deg8']=mahotas.features.zernike_moments(m.astype(np.uint8),int(r['feret_diameter_max']//2)+1,degree=8).tolist()
    cs,_=cv2.findContours(m.astype(np.uint8),cv2.RETR_EXTERNAL,cv2.CHAIN_APPROX_NONE)
    d['opencv']={'n_components_external':len(cs),'arc_length_sum':float(sum(cv2.arcLength(c,True) for c in cs)),'contour_area_sum':float(sum(cv2.contourArea(c) for c in cs)),'hull_area_all_points':float(cv2.contourArea(cv2.convexHull(np.concatenate(cs)))),'moments':cv2.moments(m.astype(np.uint8),True),'hu':cv2.HuMoments(cv2.moments(m.astype(np.uint8),True)).ravel().tolist(),'distance_transform_max_L2_precise':float(cv2.distanceTransform(m.astype(np.uint8),cv2.DIST_L2,cv2.DIST_MASK_PRECISE).max())}
    from scipy import ndimage as ndi
    d['edt_max_scipy']=float(ndi.distance_transform_edt(m).max())
    return d
ROOT=sys.argv[1]  # the folder zheng2018
for d,i in ((2,'001'),(2,'003'),(2,'025'),(2,'040'),(2,'077')):
    p=f'{ROOT}/Dataset {d}/{i}'
    im=np.array(Image.open(p+'.bmp').convert('RGB')).astype(np.int64); M=np.array(Image.open(p+'.png').convert('L'))
    g=((im[...,0]*299+im[...,1]*587+im[...,2]*114+500)//1000).astype(np.uint8)
    nu=M==255; ce=M>=64
    it={'dataset':d,'id':i,'shape_hw':list(M.shape),'sha256_bmp':sha(p+'.bmp'),'sha256_png':sha(p+'.png'),'gray_checksum_sum':int(g.sum(dtype=np.int64)),'nucleus':one(nu,g),'cell':one(ce,g)}
    it['nc_area_ratio']=it['nucleus']['area']/it['cell']['area']
    OUT['items'].append(it)
json.dump(OUT,open('golden.json','w'),indent=1)
for it in OUT['items']:
    print(it['dataset'],it['id'],it['shape_hw'],{k:it['nucleus'][k] for k in ('area','perimeter','perimeter_crofton','eccentricity','solidity','euler_number','feret_diameter_max')},'cell area',it['cell']['area'])
