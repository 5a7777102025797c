//! `occ completions` and `occ manual`.

use super::*;

#[test]
fn every_command_is_completed_and_has_a_page() {
    let folder = Folder::new();
    let completions = folder.run(&["completions", "bash"]);
    let completions = String::from_utf8(succeeded(&completions).to_vec()).unwrap();
    fs::create_dir(folder.path("man")).unwrap();
    for _ in 0..2 {
        succeeded(&folder.run(&["manual", "man"]));
    }
    for command in
        ["compress", "decompress", "merge", "plan", "inspect", "extract", "verify", "compare"]
    {
        assert!(completions.contains(command), "{command}");
        let page = String::from_utf8(folder.read(&format!("man/occ-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains("threads"), "{page}");
    }
    assert!(String::from_utf8(folder.read("man/occ.1")).unwrap().contains("compress"));
    assert!(!folder.path("man/occ-manual.1").exists());
    failed(&folder.run(&["manual", "none"]), 2, "none is not a folder");
    let help = folder.run(&["--help"]);
    assert!(!String::from_utf8(help.stdout).unwrap().contains("completions"));
}
