//! HTML reports.

use super::*;

/// A model with two layers and a name that contains markup.
fn model() -> Folder {
    let folder = lossy_folder();
    let weights = |seed| common::bf16_weights(seed, 96 * 64);
    let sample =
        |name: &str, seed| common::Sample::new(name, Dtype::Bf16, &[96, 64], weights(seed));
    let samples = [
        sample("layers.0.<script>alert(1)</script>&\"'.weight", 4),
        sample("layers.1.mlp.down_proj.weight", 5),
        sample("model.embed_tokens.weight", 6),
        common::Sample::new("norm", Dtype::F32, &[320], common::f32_weights(2, 320)),
    ];
    fs::write(folder.path("r.safetensors"), safetensors(&samples)).unwrap();
    folder
}

fn page(folder: &Folder, name: &str) -> String {
    let page = String::from_utf8(folder.read(name)).unwrap();
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{page:.100}");
    assert!(page.ends_with("</html>"));
    // The page has no scripts and no external resources.
    for other in ["http", "src=", "href=", "@import", "url(", "<script", "onload", "javascript"] {
        assert!(!page.contains(other), "{other}");
    }
    assert!(page.contains("&lt;script&gt;"), "names are escaped");
    for tag in ["svg", "section", "table", "tbody", "tr", "td", "th", "details", "figure", "ul"] {
        let count = |text: &str| page.matches(text).count();
        let opened = count(&format!("<{tag}>")) + count(&format!("<{tag} "));
        assert_eq!(opened, count(&format!("</{tag}>")), "{tag}");
    }
    page
}

/// The cells of a table's row.
fn cells(page: &str, row: &str) -> Vec<String> {
    let start = format!("<th scope=\"row\">{row}</th>");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no row {row}"));
    let (row, _) = rest.split_once("</tr>").unwrap();
    let cells = row.split("</td>").filter_map(|cell| cell.rsplit_once('>'));
    cells.map(|(_, cell)| cell.to_owned()).collect()
}

#[test]
fn analyze_writes_a_report() {
    let folder = model();
    let run = |html: &str, threads: &str| {
        let args = ["analyze", "r.safetensors", "--html", html, "--threads", threads];
        String::from_utf8(succeeded(&folder.run(&args)).to_vec()).unwrap()
    };
    let text = run("a.html", "1");
    assert_eq!(text, run("b.html", "3"));
    assert!(folder.read("a.html") == folder.read("b.html"), "deterministic");
    let page = page(&folder, "a.html");
    let titles = [
        "Coordinate systems of the codec",
        "Rate and distortion",
        "Bits per weight by matrix",
        "Matrices in all coordinate systems",
        "By role of the matrix",
        "By layer",
        "Glossary",
        // Charts.
        "Rate and distortion of the whole model",
        "Share of large magnitudes",
        "Singular values",
        "layers: largest peak",
    ];
    for title in titles {
        assert!(page.contains(title), "{title}");
    }
    // The numbers are the same as in the text.
    for row in ["identity", "hadamard", "klt"] {
        let line = text.lines().find(|line| line.starts_with(row)).unwrap();
        let numbers: Vec<&str> =
            line.split("  ").map(str::trim).filter(|s| !s.is_empty()).collect();
        assert_eq!(cells(&page, row), numbers[1..], "{row}");
    }
    // A single matrix, and a tensor that is not a matrix.
    let one = ["analyze", "r.safetensors", "--tensor", "*script*", "--html", "one.html"];
    succeeded(&folder.run(&one));
    assert!(!self::page(&folder, "one.html").contains("embed_tokens"));
    let none = ["analyze", "r.safetensors", "--tensor", "norm", "--html", "none.html"];
    succeeded(&folder.run(&none));
    assert!(String::from_utf8(folder.read("none.html")).unwrap().contains("no weight matrix"));
}

#[test]
fn compress_writes_a_report() {
    let folder = model();
    let run = |args: &[&str]| {
        let common = ["compress", "r.safetensors", "--force", "--json"];
        json(&folder.run(&[&common, args].concat()))
    };
    let report = run(&["--bits", "4", "--report", "lossy.html"]);
    let lossy = page(&folder, "lossy.html");
    let all = cells(&lossy, "total");
    let plain = |cell: &str| cell.replace(',', "").parse::<u64>().unwrap();
    assert_eq!(plain(&all[2]), report["input_bytes"].as_u64().unwrap());
    assert_eq!(plain(&all[3]), report["output_bytes"].as_u64().unwrap());
    let part = |name: &str, column: usize| plain(&cells(&lossy, name)[column]);
    let parts = [
        "lossy tensors",
        "lossless tensors",
        "headers and files of the original",
        "frames and index",
    ];
    assert_eq!(parts.map(|name| part(name, 3)).iter().sum::<u64>(), plain(&all[3]));
    for needed in ["at most 4 bits per weight", "The 3 tensors with the lowest", "Gaussian bound"] {
        assert!(lossy.contains(needed), "{needed}");
    }
    let snr = format!("{:.2} dB", report["snr_db"].as_f64().unwrap());
    assert!(lossy.contains(&snr), "{snr}");
    run(&["--report", "exact.html"]);
    let exact = page(&folder, "exact.html");
    assert!(exact.contains("all tensors are lossless") && exact.contains("highest ratio"));
    assert!(!exact.contains("Gaussian bound</title>"));
}

#[test]
fn reports_replace_only_reports() {
    let folder = model();
    let model = folder.read("r.safetensors");
    let analyze =
        |more: &[&str]| folder.run(&[&["analyze", "r.safetensors", "--html"], more].concat());
    fs::write(folder.path("old.html"), "<!DOCTYPE html>").unwrap();
    failed(&analyze(&["old.html"]), 2, "old.html exists; --force");
    succeeded(&analyze(&["old.html", "--force"]));
    failed(&analyze(&["r.safetensors", "--force"]), 2, "is not a report");
    failed(&analyze(&["-"]), 2, "not to standard output");
    let compress = |more: &[&str]| folder.run(&[&["compress", "r.safetensors"], more].concat());
    failed(&compress(&["--report", "old.html"]), 2, "old.html exists; --force");
    failed(&compress(&["--report", "r.safetensors", "--force"]), 2, "is not a report");
    failed(&compress(&["--report", "./r.occ"]), 2, "the same file");
    failed(&compress(&["--report", "new.html", "-o", "-"]), 2, "needs -o OUT");
    assert!(!folder.names().iter().any(|name| name == "r.occ"), "nothing is written");
    assert!(folder.read("r.safetensors") == model);
    // The .occ file is complete even if the report cannot be written.
    failed(&compress(&["--report", "none/new.html"]), 1, "none/new.html: ");
    succeeded(&folder.run(&["verify", "r.occ", "--deep"]));
}
