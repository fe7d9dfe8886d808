//! How pages look: every sample, narrow and wide, light and dark. `SAMPLES=dashboard` looks at those alone whose name contains that;
//! `PHOTOGRAPHS=yes` leaves a picture of each below `target/photographs`, for people to look at.

use std::collections::BTreeMap;

use super::Chrome;
use crate::{
    tests::{samples, web::Site},
    web,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_page_can_be_read_by_everybody_at_any_width_in_light_and_dark() {
    let Some(chrome) = Chrome::start("looks of all pages").await else { return };
    let site = Site::fresh().await;
    let samples = samples::all();
    let pages: BTreeMap<String, String> =
        samples.iter().map(|sample| (sample.name.clone(), sample.html.clone())).collect();
    let served = web::show(site.front.clone(), pages, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", served.address);
    let folder = std::env::var_os("PHOTOGRAPHS").map(|_| super::photographs());
    let only = std::env::var("SAMPLES").unwrap_or_default();
    let (mut wrong, mut n) = (Vec::new(), 0);
    for sample in samples.iter().filter(|sample| sample.name.contains(&only)) {
        chrome.go(&format!("{url}/samples/{}", sample.name)).await;
        for (width, dark) in [(1280, false), (1280, true), (320, true), (320, false)] {
            chrome.window(width, 900, dark).await;
            let at = format!("{} {width} {}", sample.name, if dark { "dark" } else { "light" });
            wrong.extend(chrome.audit().await.into_iter().map(|one| format!("{at}: {one}")));
            if let Some(folder) = &folder {
                let high = chrome.run("return document.documentElement.scrollHeight").await.as_u64().unwrap();
                chrome.window(width, u32::try_from(high.clamp(400, 4_000)).unwrap(), dark).await;
                chrome.photograph(&folder.join(format!("{}.png", at.replace(' ', ".")))).await;
            }
            n += 1;
        }
        wrong.extend(chrome.complaints(&url, &url).await.into_iter().map(|one| format!("{}: {one}", sample.name)));
    }
    assert!(n >= 4, "nothing was looked at");
    assert!(wrong.is_empty(), "{} findings on {n} views:\n{}", wrong.len(), wrong.join("\n"));
    chrome.quit().await;
}
