import type { account as en } from "../en/account";

export const account: Record<keyof typeof en, string> = {
  "account.signIn": "Đăng nhập",
  "account.signUp": "Tạo tài khoản",
  "account.nameOrEmail": "Tên người dùng hoặc email",
  "account.password": "Mật khẩu",
  "account.forgot": "Quên mật khẩu?",
  "account.ended": "Phiên đăng nhập đã kết thúc. Hãy đăng nhập lại để tiếp tục.",
  "account.elsewhere": "Bạn đã đăng xuất ở một thẻ khác.",
};
