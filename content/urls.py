"""Routes of content, relative to /api/v1/."""

from django.urls import path

from content import reader_views, views

urlpatterns = [
    path("feed", views.FeedView.as_view(), name="feed"),
    path("me/posts", views.OwnPostListView.as_view(), name="own-posts"),
    path("posts", views.PostListView.as_view(), name="posts"),
    path("posts/trending", views.TrendingView.as_view(), name="trending-posts"),
    path("posts/search", views.SearchView.as_view(), name="search-posts"),
    path("posts/<uuid:post_id>", views.PostView.as_view(), name="post"),
    path("posts/<uuid:post_id>/publish", views.PublishView.as_view(), name="publish-post"),
    path("posts/<uuid:post_id>/schedule", views.ScheduleView.as_view(), name="schedule-post"),
    path("posts/<uuid:post_id>/withdraw", views.WithdrawView.as_view(), name="withdraw-post"),
    path("posts/<uuid:post_id>/like", reader_views.LikeView.as_view(), name="like"),
    path("posts/<uuid:post_id>/reports", reader_views.ReportView.as_view(), name="report-post"),
    path("posts/<uuid:post_id>/comments", reader_views.CommentListView.as_view(), name="comments"),
    path(
        "posts/<uuid:post_id>/comments/<uuid:comment_id>/replies", reader_views.ReplyListView.as_view(), name="replies"
    ),
    path("posts/<uuid:post_id>/media/<uuid:media_id>/url", reader_views.MediaUrlView.as_view(), name="media-url"),
    path("comments/<uuid:comment_id>", reader_views.CommentView.as_view(), name="comment"),
]
