//! The pictures of the README: the real pages, with the people of the samples. `PICTURES=write cargo test --lib pictures` takes them
//! anew, and makes them small where `pngquant` is installed.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use super::Chrome;
use crate::{
    tests::{samples, web::Site},
    web,
};

/// Sample, file, width, whether in the dark.
const PICTURES: [(&str, &str, u32, bool); 5] = [
    ("consultant-dashboard--attention", "dashboard", 1000, false),
    ("consultant-preview--well", "preview", 1000, false),
    ("consultant-why--well", "why", 1000, true),
    ("consultant-plan--held", "plan", 1000, false),
    ("admin-status--well", "status", 1000, false),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/pictures")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pictures_of_the_readme_are_of_pages_that_exist() {
    let readme = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let samples = samples::all();
    for (sample, name, ..) in PICTURES {
        assert!(samples.iter().any(|one| one.name == sample), "there is no sample {sample}");
        assert!(readme.contains(&format!("testdata/pictures/{name}.png")), "the README does not show {name}");
    }
    if std::env::var("PICTURES").is_ok_and(|word| word == "write") {
        take(&samples).await;
    }
    let sizes = PICTURES.map(|(_, name, ..)| fs::metadata(folder().join(format!("{name}.png"))).unwrap().len());
    assert!(sizes.iter().sum::<u64>() < 1 << 20, "they are to be small: {sizes:?}");
    assert_eq!(fs::read_dir(folder()).unwrap().count(), PICTURES.len(), "each is of use");
}

async fn take(samples: &[samples::Sample]) {
    let chrome = Chrome::start("pictures").await.expect("pictures need chromium and chromedriver");
    let site = Site::fresh().await;
    let pages: BTreeMap<String, String> =
        samples.iter().map(|sample| (sample.name.clone(), sample.html.clone())).collect();
    let served = web::show(site.front.clone(), pages, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    fs::create_dir_all(folder()).unwrap();
    for (sample, name, width, dark) in PICTURES {
        chrome.go(&format!("http://{}/samples/{sample}", served.address)).await;
        chrome.window(width, 700, dark).await;
        // The samples' texts are there to hurt; a reader should see the page.
        let plain = serde_json::json!([[samples::LONG, "Steering committee"], [samples::ODD, "Weekly"]]);
        let script = format!(
            "const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
             while (walk.nextNode()) for (const [odd, plain] of {plain}) walk.currentNode.data = walk.currentNode.data.replace(odd, plain);"
        );
        chrome.run(&script).await;
        let file = folder().join(format!("{name}.png"));
        chrome.photograph(&file).await;
        // Without it they are larger, and as good.
        let _ =
            Command::new("pngquant").args(["--force", "--skip-if-larger", "--ext", ".png", "32"]).arg(&file).status();
    }
    chrome.quit().await;
}
