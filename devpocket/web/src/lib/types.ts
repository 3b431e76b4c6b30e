/** What the API says, as far as this client reads it. Source: docs/openapi.yaml. */

export type Phase =
  | "creating"
  | "provisioning"
  | "installing"
  | "configuring"
  | "running"
  | "stopping"
  | "stopped"
  | "starting"
  | "restarting"
  | "resizing"
  | "error"
  | "terminated";

export type Plan = "free" | "starter" | "pro" | "admin";

export interface User {
  id: string;
  username: string;
  email: string;
  full_name: string | null;
  is_verified: boolean;
  is_admin: boolean;
  subscription_plan: Plan;
  preferred_region: string | null;
  record_terminals: boolean;
  created_at: string;
  last_login: string | null;
}

export interface Billing {
  state: "active" | "powered_off" | "hibernated" | "volume" | "none";
  usd_per_hour: number;
  usd_month_to_date: number;
  note: string | null;
}

export interface Environment {
  id: string;
  name: string;
  slug: string;
  description: string | null;
  template_id: string;
  template_name: string;
  status: "creating" | "running" | "stopped" | "error" | "terminated";
  phase: Phase;
  status_message: string | null;
  progress: number; // 0 to 100
  environment_variables: Record<string, string>;
  external_url: string | null;
  web_port: number;
  ssh_port: number;
  ssh_user: string;
  droplet_ip: string | null;
  region: string;
  size: string;
  storage_size_gb: number;
  installation_completed: boolean;
  installation: {
    completed: boolean;
    progress: number; // percent
    phase: string | null;
    message: string | null;
    error: string | null;
  };
  cpu_usage: number | null; // percent, as the next two
  memory_usage: number | null;
  storage_usage: number | null;
  created_at: string;
  updated_at: string;
  last_activity_at: string | null;
  idle_stop_at: string | null;
  last_stop_reason: string | null;
  hibernated: boolean;
  billing: Billing;
  error: { code: string; message: string; phase: string; at: string } | null;
}

export interface Template {
  id: string;
  display_name: string;
  description: string;
  category: string;
  tags: string[];
  default_port: number;
  config: { min_size?: string | null } | null;
  documentation_url: string | null;
  status: "active" | "beta" | "deprecated";
  usage_count: number;
}

export interface Size {
  slug: string;
  name: string;
  memory: number; // MB
  vcpus: number;
  disk: number; // GB
  price_monthly: number; // USD
  price_hourly: number;
  available: boolean;
  regions: string[];
  allowed: boolean; // for the caller's plan
}

export interface Region {
  slug: string;
  name: string;
  available: boolean;
  sizes: string[];
}

export interface Snapshot {
  id: string;
  name: string;
  size_gb: number | null;
  status: "pending" | "available" | "error";
  created_at: string;
  completed_at: string | null;
}

/** One line of an environment's time line. */
export interface MachineEvent {
  id: string;
  at: string;
  kind: string;
  phase: Phase;
  message: string;
  actor: string | null;
}

export interface PastMetrics {
  timestamp: string;
  cpu_usage: number | null;
  memory_usage: number | null;
  storage_usage: number | null;
  network_rx: number | null; // bytes since boot, as the next
  network_tx: number | null;
}

export interface Metrics extends PastMetrics {
  uptime: number | null; // seconds
  load_average: [number, number, number] | null;
  active_connections: number;
  history: PastMetrics[];
}

export interface SignInSession {
  id: string;
  created_at: string;
  last_used_at: string;
  user_agent: string;
  ip: string | null;
  current: boolean;
}

export interface UserStats {
  active_tokens: number; // sign-ins that are alive
  limits: { max_environments: number | null; used: number }; // null: as many as one likes
}

export interface SshKey {
  id: string;
  name: string;
  public_key: string;
  fingerprint: string;
  created_at: string;
}

/** A tmux session of a machine; `name` is null for the environment's own. */
export interface TerminalSession {
  name: string | null;
  session: string; // tmux's name of it
  created_at: string;
  last_activity_at: string;
  attached: number; // tmux clients
  windows: number;
}

export interface Share {
  id: string;
  session: string | null;
  mode: "view" | "write";
  created_at: string;
  expires_at: string;
  revoked_at: string | null;
  opened_count: number;
  viewers: number; // sockets open by it now
  active: boolean;
  url?: string; // given once, when it is made
}

export interface Info {
  name: string;
  version: string;
  features: { google_oauth: boolean; email_verification: boolean };
  google_web_client_id: string | null;
}

/** What a sign-in gives; the refresh token is in a cookie that scripts can't read. */
export interface SignIn {
  access_token: string;
  expires_in: number; // seconds
  user: User;
}

export interface FieldProblem {
  field: string;
  message: string;
  code: string;
}
