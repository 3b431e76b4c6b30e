from django.urls import re_path

from accounts.api import google_views, recovery_views, user_views, views, web_views

change_password = recovery_views.ChangePasswordView.as_view()

urlpatterns = [
    re_path(r"^auth/register/?$", views.RegisterView.as_view()),
    re_path(r"^auth/login/?$", views.LoginView.as_view()),
    re_path(r"^auth/google/?$", google_views.GoogleView.as_view()),
    re_path(r"^auth/refresh/?$", views.RefreshView.as_view()),
    re_path(r"^auth/me/?$", views.MeView.as_view()),
    re_path(r"^auth/profile/?$", views.MeView.as_view()),
    re_path(r"^auth/logout/?$", views.LogoutView.as_view()),
    re_path(r"^auth/verify-email/?$", recovery_views.VerifyEmailView.as_view()),
    re_path(r"^auth/resend-verification/?$", recovery_views.ResendVerificationView.as_view()),
    re_path(r"^auth/forgot-password/?$", recovery_views.ForgotPasswordView.as_view()),
    re_path(r"^auth/reset-password/?$", recovery_views.ResetPasswordView.as_view()),
    re_path(r"^auth/change-password/?$", change_password),
    re_path(r"^web/register/?$", web_views.WebRegisterView.as_view()),
    re_path(r"^web/login/?$", web_views.WebLoginView.as_view()),
    re_path(r"^web/google/?$", web_views.WebGoogleView.as_view()),
    re_path(r"^web/refresh/?$", web_views.WebRefreshView.as_view()),
    re_path(r"^web/logout/?$", web_views.WebLogoutView.as_view()),
    re_path(r"^web/change-password/?$", web_views.WebChangePasswordView.as_view()),
    re_path(r"^users/change-password/?$", change_password),
    re_path(r"^users/me/change-password/?$", change_password),
    re_path(r"^users/me/?$", user_views.UserMeView.as_view()),
    re_path(r"^users/me/stats/?$", user_views.StatsView.as_view()),
    re_path(r"^users/stats/?$", user_views.StatsView.as_view()),
    re_path(r"^users/me/sessions/?$", user_views.SessionsView.as_view()),
    re_path(r"^users/me/sessions/(?P<session_id>[^/]+)/?$", user_views.SessionView.as_view()),
    re_path(r"^users/me/ssh-keys/?$", user_views.SSHKeysView.as_view()),
    re_path(r"^users/me/ssh-keys/(?P<key_id>[^/]+)/?$", user_views.SSHKeyView.as_view()),
]
