/** Small controls that the parts of the page share. */
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

/** An arrow that is read out as a word. */
export const Arrow = () => <><span aria-hidden="true">→</span><span class="visually-hidden"> to </span></>;

interface IconButtonProps {
  /** What it does, and to what: read out, and shown as a tooltip. */
  label: string;
  onClick: (event: MouseEvent) => void;
  children: ComponentChildren;
  tone?: "quiet" | "danger";
  expanded?: boolean;
  controls?: string;
  pressed?: boolean;
}

export function IconButton({ label, onClick, children, tone = "quiet", expanded, controls, pressed }: IconButtonProps) {
  return (
    <button type="button" class={`icon-button ${tone}`} aria-label={label} title={label} onClick={onClick}
      aria-expanded={expanded} aria-controls={controls} aria-pressed={pressed}>
      {children}
    </button>
  );
}

interface ProgressBarProps {
  label: string;
  /** 0 to 100; null while unknown. */
  value: number | null;
  text?: string;
  still?: boolean;
}

export function ProgressBar({ label, value, text, still = false }: ProgressBarProps) {
  const known = value === null ? {} : { "aria-valuenow": Math.round(value), "aria-valuetext": text };
  return (
    <div class={`bar${value === null ? " unknown" : ""}${still ? " still" : ""}`} role="progressbar" aria-label={label}
      aria-valuemin={0} aria-valuemax={100} {...known}>
      <div class="bar-fill" style={{ transform: value === null ? undefined : `scaleX(${value / 100})` }} />
    </div>
  );
}

interface FieldProps {
  label: string;
  hint?: string | undefined;
  children: (id: string, describedBy: string | undefined) => ComponentChildren;
}

export function Field({ label, hint, children }: FieldProps) {
  const id = useId();
  const hintId = hint ? `${id}-hint` : undefined;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children(id, hintId)}
      {hint && <p class="hint" id={hintId}>{hint}</p>}
    </div>
  );
}

export interface Item {
  value: string;
  label: string;
  group?: string;
}

interface SelectFieldProps {
  label: string;
  value: string;
  items: Item[];
  onChange: (value: string) => void;
  hint?: string | undefined;
}

export function SelectField({ label, value, items, onChange, hint }: SelectFieldProps) {
  const known = items.some((item) => item.value === value) ? items : [...items, { value, label: value }];
  return (
    <Field label={label} hint={hint}>
      {(id, hintId) => <Select id={id} value={value} items={known} onChange={onChange} describedBy={hintId} />}
    </Field>
  );
}

interface SelectProps {
  id?: string;
  value: string;
  items: Item[];
  onChange: (value: string) => void;
  describedBy?: string | undefined;
  label?: string;
}

export function Select({ id, value, items, onChange, describedBy, label }: SelectProps) {
  const groups = [...new Set(items.map((item) => item.group))];
  const options = (group: string | undefined) =>
    items.filter((item) => item.group === group).map((item) => (
      <option key={item.value} value={item.value} selected={item.value === value}>{item.label}</option>
    ));
  return (
    <select id={id} value={value} aria-describedby={describedBy} aria-label={label}
      onChange={(event) => onChange(event.currentTarget.value)}>
      {groups.map((group) => (group ? <optgroup key={group} label={group}>{options(group)}</optgroup> : options(group)))}
    </select>
  );
}

interface InputFieldProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  placeholder?: string;
  hint?: string | undefined;
  mode?: "numeric" | "decimal" | "text";
  suffix?: string;
}

export function InputField({ label, value, onChange, placeholder, hint, mode = "text", suffix }: InputFieldProps) {
  return (
    <Field label={label} hint={hint}>
      {(id, hintId) => (
        <div class="input">
          <input id={id} type="text" inputMode={mode} value={value} placeholder={placeholder} autocomplete="off"
            aria-describedby={hintId} onChange={(event) => onChange(event.currentTarget.value)} />
          {suffix && <span class="suffix" aria-hidden="true">{suffix}</span>}
        </div>
      )}
    </Field>
  );
}

interface SwitchProps {
  label: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
}

export function Switch({ label, checked, onChange }: SwitchProps) {
  return (
    <label class="switch">
      <input type="checkbox" role="switch" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} />
      <span class="track" aria-hidden="true" />
      <span>{label}</span>
    </label>
  );
}
