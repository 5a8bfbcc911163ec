//! Sees to it that the dashboard's files are embedded anew when they were built anew.

use std::path::Path;

fn main() {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/dist");
    // Without node nothing was built. An empty directory stands for that: what is not there cannot be embedded, and cargo
    // would take it for changed each time. Where it cannot be made, the error of the macro says so.
    let _ = std::fs::create_dir_all(&built);
    println!("cargo::rerun-if-changed={}", built.display());
}
