//! `cargo xtask dist`: an archive of a release, the same bytes whoever makes it from the same source with the same compiler.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::{run, run_with, say, sbom};

/// What is in it beside the programs.
const BESIDE: &[&str] =
    &["CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "docs", "packaging", "policies"];
const PROGRAMS: &[&str] = &["callgate", "callgate-verify"];

/// Makes it. With `--built FOLDER`, of programs that are there already, built by whatever builds for another machine.
pub(crate) fn dist(arguments: &[String]) -> Result<(), String> {
    let built = match arguments {
        [] => None,
        [option, folder] if option == "--built" => Some(PathBuf::from(folder)),
        _ => return Err("cargo xtask dist [--built FOLDER]".to_owned()),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.canonicalize().map_err(|error| error.to_string())?;
    let epoch = match variable("SOURCE_DATE_EPOCH") {
        Some(epoch) => epoch,
        None => said("git", &["log", "-1", "--format=%ct"])?,
    };
    let target = said("rustc", &["-vV"])?;
    let target = target.lines().find_map(|line| line.strip_prefix("host: "));
    let target = target.ok_or("`rustc -vV` does not say for which machine it builds")?.to_owned();
    let from = match built {
        Some(folder) => folder,
        None => build(&root, &epoch)?,
    };
    let name = format!("callgate-{}-{target}", env!("CARGO_PKG_VERSION"));
    let folder = root.join("target/dist");
    let staged = folder.join(&name);
    if staged.exists() {
        fs::remove_dir_all(&staged).map_err(|error| format!("{}: {error}", staged.display()))?;
    }
    fs::create_dir_all(staged.join("bin")).map_err(|error| error.to_string())?;
    for program in PROGRAMS {
        copy(&from.join(program), &staged.join("bin").join(program))?;
    }
    // What is committed, and nothing that only lies about.
    let beside = staged.join("beside.tar").display().to_string();
    run("git", &[&["archive", "--output", &beside, "HEAD"][..], BESIDE].concat())?;
    run("tar", &["-C", &staged.display().to_string(), "-xf", &beside])?;
    fs::remove_file(&beside).map_err(|error| error.to_string())?;
    let bill = sbom::bill(&target, &epoch)?;
    fs::write(staged.join("callgate.cdx.json"), bill).map_err(|error| error.to_string())?;
    pack(&folder, &name, &epoch)
}

/// Builds where nothing else is, and so that no path of this machine is in it.
fn build(root: &Path, epoch: &str) -> Result<PathBuf, String> {
    let home = variable("HOME").map(|home| format!("{home}/.cargo"));
    let home = variable("CARGO_HOME").or(home).ok_or("neither CARGO_HOME nor HOME is set")?;
    let root_text = root.display().to_string();
    let folder = root.join("target/dist/build");
    let folder_text = folder.display().to_string();
    let rust = format!("--remap-path-prefix={root_text}=callgate --remap-path-prefix={home}=cargo");
    let c = format!("-ffile-prefix-map={root_text}=callgate -ffile-prefix-map={home}=cargo");
    let environment = [
        ("SOURCE_DATE_EPOCH", epoch),
        ("CARGO_INCREMENTAL", "0"),
        ("RUSTFLAGS", &*rust),
        ("CFLAGS", &*c),
        ("CARGO_TARGET_DIR", &*folder_text),
    ];
    let packages = ["--package", "callgate", "--package", "callgate-verify"];
    let build = [&["build", "--release", "--locked"][..], &packages].concat();
    run_with("cargo", &build, &environment)?;
    Ok(folder.join("release"))
}

/// The archive: in one order, of one owner, of one time.
fn pack(folder: &Path, name: &str, epoch: &str) -> Result<(), String> {
    let (archive, time) = (format!("{name}.tar"), format!("--mtime=@{epoch}"));
    let inside = folder.display().to_string();
    let options = [
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--format=ustar",
        "--mode=u+rw,go=rX,a-s",
    ];
    let file = format!("{inside}/{archive}");
    let whole = ["-C", &inside, "-cf", &file, &time];
    let whole = [&whole[..], &options, &[name]].concat();
    run("tar", &whole)?;
    run("gzip", &["-n", "-9", "-f", &file])?;
    let archive = format!("{archive}.gz");
    let summed = Command::new("sha256sum").arg(&archive).current_dir(folder).output();
    let summed = summed.map_err(|error| format!("`sha256sum` cannot be run: {error}"))?;
    fs::write(folder.join(format!("{archive}.sha256")), &summed.stdout)
        .map_err(|error| error.to_string())?;
    say(&format!("{inside}/{archive}\n{}", String::from_utf8_lossy(&summed.stdout).trim_end()));
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| format!("{}: {error}", from.display()))
}

fn variable(name: &str) -> Option<String> {
    env::var_os(name)?.into_string().ok()
}

/// What a program says.
pub(crate) fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{program}` failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
