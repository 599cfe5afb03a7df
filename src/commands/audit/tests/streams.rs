//! I6: streams.

use super::{super::streams, *};

/// An order's events: version and kind.
type Story = Vec<(i32, String)>;
/// What a door makes of them.
type Show = fn(Story) -> Story;

/// A door behind which every order's stream is made from its history by `show`.
async fn door(orders: PgPool, show: Show) -> streams::Door {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(socket.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap().to_lowercase();
            let order: Uuid = request.split('/').nth(3).unwrap().parse().unwrap();
            let after = request.split("last-event-id: ").nth(1).unwrap().lines().next().unwrap();
            let story = sqlx::query_as(
                "select version, kind from events where stream = $1 and version > $2 order by version",
            )
            .bind(order)
            .bind(after.parse::<i32>().unwrap())
            .fetch_all(&orders)
            .await
            .unwrap();
            let body: String = show(story)
                .into_iter()
                .map(|(version, kind)| {
                    format!("id: {version}\ndata: {{\"version\":{version},\"type\":\"{kind}\"}}\n\n")
                })
                .collect();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    streams::Door::at(url)
}

async fn watched(show: Show) -> Report {
    let world = Broken::in_parts(&[]).await.world().await;
    let door = door(world.orders.clone(), show).await;
    let mut report = Report::default();
    streams::check(&world, Some(&door), 100, &mut report).await.unwrap();
    report
}

#[tokio::test]
async fn a_stream_is_the_history() {
    is_clean(&watched(|story| story).await);
}

#[tokio::test]
async fn a_stream_with_a_gap_a_repeat_or_another_story_is_found() {
    let gap = |story: Story| story.into_iter().skip(1).collect();
    let repeat = |mut story: Story| {
        story.extend(story.last().cloned());
        story
    };
    let short = |mut story: Story| {
        story.pop();
        story
    };
    let other = |mut story: Story| {
        story.iter_mut().for_each(|(_, kind)| *kind = "OrderCreated".to_owned());
        story
    };
    for show in [gap, repeat, short, other] as [Show; 4] {
        is_broken(&watched(show).await, Promise::I6, COMPLETED, "its history is");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_found() {
    let world = Broken::in_parts(&[]).await.world().await;
    // Nobody listens there.
    let door = streams::Door::at("http://127.0.0.1:1".to_owned());
    let mut report = Report::default();
    streams::check(&world, Some(&door), 100, &mut report).await.unwrap();
    is_broken(&report, Promise::I6, COMPLETED, "its stream breaks");
}

#[tokio::test]
async fn without_a_platform_streams_are_not_looked_at() {
    let world = Broken::in_parts(&[]).await.world().await;
    let mut report = Report::default();
    streams::check(&world, None, 100, &mut report).await.unwrap();
    assert!(report.is_clean() && report.to_string().contains("no platform is running"));
}
