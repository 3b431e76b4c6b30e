export const account = {
  "account.signIn": "Sign in",
  "account.signUp": "Create an account",
  "account.nameOrEmail": "Username or email",
  "account.password": "Password",
  "account.forgot": "Forgotten password?",
  "account.ended": "Your sign-in has ended. Sign in again to go on where you were.",
  "account.elsewhere": "You signed out in another tab.",
};
