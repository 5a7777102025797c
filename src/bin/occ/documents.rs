//! `occ completions` and `occ manual`, for packages of the command. They are hidden from `--help`.

use crate::failure::{Failure, in_file, usage};
use clap::{Args, Command};
use clap_complete::{Shell, generate};
use std::path::PathBuf;

/// Print the completions of a shell.
#[derive(Args)]
pub struct CompletionsArgs {
    shell: Shell,
}

/// Write the manual pages to a folder: occ.1, occ-compress.1, …
#[derive(Args)]
pub struct ManualArgs {
    folder: PathBuf,
}

pub fn completions(args: &CompletionsArgs, mut command: Command) -> Result<(), Failure> {
    let mut text = Vec::new();
    generate(args.shell, &mut command, "occ", &mut text);
    crate::output::print(&String::from_utf8_lossy(&text))
}

pub fn manual(args: &ManualArgs, mut command: Command) -> Result<(), Failure> {
    if !args.folder.is_dir() {
        return usage(&format!("{} is not a folder", args.folder.display()));
    }
    command.build();
    write_page(args, &command)?;
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    for subcommand in visible.filter(|command| command.get_name() != "help") {
        write_page(args, subcommand)?;
    }
    Ok(())
}

fn write_page(args: &ManualArgs, command: &Command) -> Result<(), Failure> {
    // `occ-compress` for a subcommand, which `build` has set.
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = args.folder.join(format!("{name}.1"));
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.render(&mut page).map_err(|error| in_file(&path, error))?;
    // Pages of an earlier version are replaced.
    Ok(occ::write_file(&path, &page, true)?)
}
