use crate::asked::Asked;
use crate::report::ReportArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use wbc_clip::FitDescriptorOptions;
use wbc_clip::encoders::ImageLayout;

/// Cells that `search` answers unless told otherwise.
const TEN: NonZeroUsize = NonZeroUsize::new(10).expect("ten is not zero");
/// Cells whose explanations are scored unless told otherwise.
const HUNDRED: NonZeroUsize = NonZeroUsize::new(100).expect("a hundred is not zero");
/// Most threads; more than any machine has would only exhaust it.
const MAX_THREADS: usize = 1024;

fn threads(text: &str) -> Result<usize, String> {
    let n = text.parse().ok().filter(|n| (1..=MAX_THREADS).contains(n));
    n.ok_or_else(|| format!("expected 1 to {MAX_THREADS}"))
}

fn layout(name: &str) -> Result<ImageLayout, String> {
    ImageLayout::from_name(name).ok_or_else(|| {
        let names: Vec<String> = ImageLayout::all().map(|l| l.to_string()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// Morphology-aware CLIP for white blood cells.
///
/// Segments and measures cells, writes captions, trains a dual encoder, classifies zero-shot, searches and explains.
/// For research, not for diagnosis.
///
/// INPUT is an image, a folder of images, a manifest CSV (a column `path`; optional id, label, split, mask, x0, y0, x1,
/// y1, group, pixel_size_um, optics and attributes) or DATASET[:split]. Datasets are expected below the folder named by
/// the environment variable WBC_CLIP_DATA; `synthetic` needs none. Exit status: 0 all done, 1 something failed (the rest
/// is done), 2 wrong usage.
#[derive(Parser, Debug)]
#[command(name = "wbc-clip", version, arg_required_else_help = true, propagate_version = true)]
pub(crate) struct Cli {
    /// Backend to compute on [default: flex, in training the configuration's]; an unknown name lists what is compiled in
    #[arg(long, global = true)]
    pub(crate) device: Option<String>,
    /// Seed of everything random [default: 0, in training the configuration's]
    #[arg(long, global = true)]
    pub(crate) seed: Option<u64>,
    /// Print exactly one JSON document on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more on standard error; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Folder where views are kept between calls [default: wbc-clip in the user's cache folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Compute every view anew and keep none
    #[arg(long, global = true, conflicts_with = "cache")]
    pub(crate) no_cache: bool,
    /// Threads for images [default: all cores]; results do not depend on it
    #[arg(long, global = true, value_parser = threads)]
    pub(crate) threads: Option<usize>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// The whole of it on synthetic cells: generate, measure, caption, train, evaluate, explain
    ///
    /// Writes DIR/report.html (open it in a browser) and DIR/run, a run folder for all other commands.
    Demo {
        /// Folder to be written
        #[arg(long, value_name = "DIR", default_value = "wbc-clip-demo")]
        out: PathBuf,
    },
    /// Datasets: list, verify, count, export
    #[command(subcommand)]
    Data(DataCommand),
    /// Masks of nucleus and cytoplasm: DIR/<id>.png (0 background, 128 cytoplasm, 255 nucleus) and DIR/quality.csv
    Segment {
        /// Image, folder, manifest CSV or DATASET[:split]
        input: String,
        /// Folder to be written
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Who finds the cell
        #[arg(long, value_enum, default_value_t = Method::Vote)]
        method: Method,
        /// Compare with the masks that the input brings: Dice coefficients of nucleus and cell, intersections over unions
        #[arg(long)]
        evaluate: bool,
    },
    /// Named measurements, one row per cell
    Measure {
        /// Image, folder, manifest CSV or DATASET[:split]
        #[arg(required_unless_present = "schema")]
        input: Option<String>,
        /// Folder with masks <id>.png; without, masks are made
        #[arg(long, value_name = "DIR")]
        masks: Option<PathBuf>,
        /// Who finds the cell where masks are made
        #[arg(long, value_enum, default_value_t = Method::Vote, conflicts_with = "masks")]
        method: Method,
        /// Micrometres per pixel of images whose manifest does not say: adds columns in µm
        #[arg(long, value_name = "UM")]
        pixel_size: Option<f64>,
        /// Also draw distributions per cell type, as SVG
        #[arg(long, value_name = "FILE.svg")]
        plot: Option<PathBuf>,
        /// Measurements in the plot [default: a dozen usual ones]
        #[arg(long, value_name = "A,B,…", value_delimiter = ',', requires = "plot")]
        plot_measurements: Option<Vec<String>>,
        /// Table to be written: .csv, .parquet or .jsonl
        #[arg(long, value_name = "FILE", required_unless_present = "schema")]
        out: Option<PathBuf>,
        /// Print name, unit, definition and source of every measurement of the table, and measure nothing
        #[arg(long, conflicts_with_all = ["input", "masks", "out"])]
        schema: bool,
    },
    /// Type and attributes read from measurements alone, by trees that are fitted on annotated cells
    #[command(subcommand)]
    Describe(DescribeCommand),
    /// Captions with the facts that they assert, or `caption verify FILE`
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Caption(CaptionArgs),
    /// Trains a dual encoder as a configuration says
    ///
    /// Ctrl-C stops after the current step with a checkpoint; --resume continues, bit for bit.
    Train {
        /// Configuration, see configs/
        config: PathBuf,
        /// Continue the run in the configuration's `out`
        #[arg(long)]
        resume: bool,
        /// Change a value of the configuration, for example --set optimiser.epochs=3
        #[arg(long = "set", value_name = "KEY=VALUE")]
        changes: Vec<String>,
    },
    /// Zero-shot types and attributes, retrieval both ways and calibration, with 95 % intervals
    Eval {
        /// Run folder
        run: PathBuf,
        /// DATASET[:split] or manifest CSV; repeat for several
        #[arg(long = "dataset", value_name = "ID_OR_CSV", required = true)]
        datasets: Vec<String>,
        /// Tone of the captions that are retrieved: list, label, sentence, report, note, question, plain or comparison;
        /// as in training unless given
        #[arg(long, value_name = "NAME")]
        register: Option<String>,
        #[command(flatten)]
        asked: Asked,
        /// Also whether cells are told from places that show none (red cells, platelets, blank), cut from the dataset's own
        /// fields of view; of the registered datasets bccd has them
        #[arg(long)]
        no_cell: bool,
        /// The same against images of yours that show no such cell: folder (its subfolders are kinds), manifest CSV or
        /// DATASET[:split] (labels are kinds); absolute sizes count only where they are known of cells and images
        #[arg(long, value_name = "INPUT")]
        no_cell_images: Option<String>,
    },
    /// One page (HTML) that compares runs: figures beside each other, best marked, mistakes, searches, explanations
    ///
    /// RUN is a run folder, which is evaluated, or a file (.json) with what `wbc-clip --json eval` printed, of which nothing
    /// is computed anew. NAME=RUN says what the page calls it. Run folders bring pictures of cells and training curves,
    /// files only figures. A dataset that fails is listed, the rest is on the page. With --classes there are no explanations.
    #[command(after_long_help = crate::report::EXAMPLES)]
    Report(ReportArgs),
    /// Type and attributes of cells, with probabilities
    Classify {
        /// Image, folder, manifest CSV or DATASET[:split]
        input: String,
        /// Run folder [default: the model that comes with the program, trained on WBCAtt]
        #[arg(long)]
        run: Option<PathBuf>,
        /// CSV to be written
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Embeddings of cells, as an index for `search`
    Embed {
        /// Run folder
        run: PathBuf,
        /// Image, folder, manifest CSV or DATASET[:split]
        input: String,
        /// Index to be written (.parquet)
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Cells of an index that fit a text or look like an image
    Search {
        /// Run folder
        run: PathBuf,
        /// Index written by `embed`
        #[arg(long, value_name = "FILE")]
        index: PathBuf,
        #[command(flatten)]
        query: QueryArgs,
        /// How many cells
        #[arg(short, default_value_t = TEN)]
        k: NonZeroUsize,
    },
    /// Why a cell is what the model says: evidence, heat maps, nearest captions
    ///
    /// With --evaluate the explanations themselves are scored on many cells: do heat maps point to what their phrase is
    /// about (where masks are known), and is the decision lost when what they call important is taken away first?
    Explain {
        /// Image of one cell; with --evaluate image, folder, manifest CSV or DATASET[:split]
        input: String,
        /// Run folder [default: the model that comes with the program, trained on WBCAtt]
        #[arg(long)]
        run: Option<PathBuf>,
        /// Folder for PNGs, explanation.json and explanation.html
        #[arg(long, value_name = "DIR", conflicts_with = "evaluate")]
        out: Option<PathBuf>,
        /// Draw a heat map for this phrase, too; repeat for several
        #[arg(long = "phrase", value_name = "TEXT", conflicts_with = "evaluate")]
        phrases: Vec<String>,
        /// How heat maps are made [default: by patches where they are exact, else jointly; with --evaluate all ways]
        #[arg(long, value_enum)]
        heat: Option<Heat>,
        /// Score the explanations of the cells of INPUT
        #[arg(long)]
        evaluate: bool,
        /// Most cells that are scored, evenly spaced
        #[arg(long, value_name = "N", default_value_t = HUNDRED, requires = "evaluate")]
        limit: NonZeroUsize,
    },
    /// The views that a run's image encoder sees: DIR/<id>.png, for its exports to other libraries
    Views {
        /// Run folder
        run: PathBuf,
        /// Image, folder, manifest CSV or DATASET[:split]
        input: String,
        /// Folder to be written
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Backends: which are compiled in, present here, their types of numbers, and a quick look at their speed
    Devices {
        /// Seconds for each backend's speed; 0 looks at none
        #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
        probe: f64,
    },
    /// Published encoders: look into weight files, import them for training
    #[command(subcommand)]
    Weights(WeightsCommand),
    /// Weights with all that is needed to use them elsewhere
    Export {
        /// Run folder
        run: PathBuf,
        /// Layout
        #[arg(long, value_enum)]
        format: Format,
        /// Folder to be written
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum DescribeCommand {
    /// Learns from annotated cells, for example wbcatt:train; prints scores of cells that were held out
    Fit {
        /// Folder, manifest CSV or DATASET[:split], with types or attributes
        input: String,
        /// Descriptor to be written
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Simulated other hospitals per cell, to learn from beside the cell itself
        #[arg(long, value_name = "N", default_value_t = FitDescriptorOptions::default().shifted_copies)]
        shifted_copies: u32,
        /// JSON Lines to be written: what is said of each cell by trees that it was held out from. Shows doubtful
        /// annotations
        #[arg(long, value_name = "FILE.jsonl")]
        held_out: Option<PathBuf>,
    },
    /// Types, attributes and calibration with 95 % intervals, as `eval` does for a run
    Eval {
        /// Descriptor written by `describe fit`
        descriptor: PathBuf,
        /// DATASET[:split] or manifest CSV; repeat for several
        #[arg(long = "dataset", value_name = "ID_OR_CSV", required = true)]
        datasets: Vec<String>,
        /// Restrict candidates and cells to these types
        #[arg(long, value_delimiter = ',')]
        classes: Option<Vec<String>>,
    },
    /// Type and attributes of cells with probabilities, and the measurements that moved each decision most
    Cells {
        /// Image, folder, manifest CSV or DATASET[:split]
        input: String,
        /// Descriptor written by `describe fit`
        #[arg(long, value_name = "FILE")]
        descriptor: PathBuf,
        /// CSV to be written: id, path, flags, type and probability, each attribute and its probability
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Measurements named per decision
        #[arg(long, value_name = "N", default_value_t = 3)]
        reasons: usize,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum WeightsCommand {
    /// What a weight file holds: whose encoder, its sizes, every tensor
    Inspect {
        /// safetensors, or a checkpoint of PyTorch (.pth, .pt, .bin); a pickle is read, never run
        file: PathBuf,
    },
    /// Weighted mean of weight files of one architecture: between those before and after fine-tuning (WiSE-FT), or of
    /// several runs
    Average {
        /// safetensors; `initial.safetensors` of a run is where its fine-tuning began
        #[arg(required = true, num_args = 2..)]
        files: Vec<PathBuf>,
        /// A weight per file [default: the same for all]; shares of their sum
        #[arg(long, value_delimiter = ',', value_name = "A,B,…")]
        weights: Option<Vec<f64>>,
        /// safetensors to be written
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Writes the image encoder of an encoder folder under the names of another program
    Convert {
        /// Folder made by `weights import`
        folder: PathBuf,
        /// Layout, as `weights inspect` names it
        #[arg(long, value_name = "NAME", value_parser = layout)]
        layout: ImageLayout,
        /// safetensors to be written
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Reads a published encoder, checks it whole and makes an encoder folder of it, for `model.image_encoder`
    Import {
        /// safetensors or a checkpoint of PyTorch (.pth, .pt, .bin), or a folder as it was published, with configuration,
        /// preprocessing and tokenizer; a pickle is read, never run. Or a run folder, for the image encoder that it
        /// fine-tuned
        source: PathBuf,
        /// Folder to be written
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct QueryArgs {
    /// Description, for example "neutrophil with vacuoles"
    #[arg(long)]
    pub(crate) text: Option<String>,
    /// Image of a cell
    #[arg(long)]
    pub(crate) image: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct CaptionArgs {
    /// Image, folder, manifest CSV or DATASET[:split], with annotations
    #[arg(required = true)]
    pub(crate) input: Option<String>,
    /// Captioners, see configs/captioners.toml
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) captioners: Option<PathBuf>,
    /// Captions to be written (.jsonl); an existing file is continued
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) out: Option<PathBuf>,
    /// Captions for one cell each of N distinct combinations only, to try prompts and models
    #[arg(long, value_name = "N")]
    pub(crate) limit_combinations: Option<std::num::NonZeroUsize>,
    /// Counts the requests and tokens that models would be asked for; sends and writes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(subcommand)]
    pub(crate) verify: Option<CaptionCommand>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum CaptionCommand {
    /// Reads every caption of a file back into facts and compares them with what it claims
    ///
    /// Judges other programs' captions, too: lines are JSON objects with a `text`, and `facts`, the `id` of a cell of
    /// INPUT, or both.
    Verify {
        /// Captions (.jsonl)
        file: PathBuf,
        /// Image, folder, manifest CSV or DATASET[:split] that the captions are about, by their ids
        #[arg(long)]
        input: Option<String>,
        /// Captioner file whose limit of tokens counts
        #[arg(long, value_name = "FILE")]
        captioners: Option<PathBuf>,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum DataCommand {
    /// All known datasets, and which are present
    List,
    /// Checks files, hashes, images and masks
    Verify {
        /// DATASET[:split]
        id: String,
    },
    /// Counts per type, split and attribute value
    Stats {
        /// Image, folder, manifest CSV or DATASET[:split]
        id: String,
    },
    /// Copies cells, masks and a manifest into a folder
    Export {
        /// Folder, manifest CSV or DATASET[:split]
        id: String,
        /// Folder to be written
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Method {
    /// Four scores vote on the nucleus, the border is refined: the accurate one, with which runs are trained
    Vote,
    /// One threshold and one contour in a small image: several times faster, for previews and very large sets
    Threshold,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Heat {
    /// What every patch contributes, exactly; not behind a class token or a perceptron
    Patches,
    /// Integrated gradients of the similarity by the pixels
    Gradient,
    /// What every place of the encoder's layers adds to the similarity, where a perceptron reads them
    Layers,
    /// By how much the similarity falls when a square is covered; always possible
    Occlusion,
    /// What a superpixel is worth when it is given back to the blurred view; always possible
    Superpixels,
    /// Gradient and superpixels together
    Joint,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// One safetensors file with this project's tensor names; `eval` and the others open it as a run
    Safetensors,
    /// The same with weights rounded to 16-bit floats, half as large
    SafetensorsF16,
    /// The same with kernels of convolutions in 8 bits and all else in 16, for convolutional encoders
    SafetensorsI8,
    /// Both encoders as ONNX models, for onnxruntime
    Onnx,
    /// A folder for open_clip, `local-dir:DIR`; published encoders on pixels alone
    OpenClip,
    /// A folder for transformers' CLIPModel; CLIP's own encoders on pixels alone
    Transformers,
}
