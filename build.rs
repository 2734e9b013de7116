//! Code generation only: compiles `proto/` into `OUT_DIR` with a pure-Rust compiler, so that no
//! `protoc` is needed. The same descriptor set feeds server reflection.

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const ROOT: &str = "proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new([ROOT])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(files(&Path::new(ROOT).join("doorward/v1"))?)?;
    std::fs::write(out.join("doorward.bin"), compiler.encode_file_descriptor_set())?;
    // Maps are ordered, so that equal messages encode to equal bytes: retries are told apart by a
    // digest of them.
    tonic_prost_build::configure()
        .out_dir(&out)
        .btree_map(".")
        .extern_path(".doorward.v1.Record", "crate::service::record::Record")
        .generate_default_stubs(true)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("proto")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
