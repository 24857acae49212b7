/** The only style sheet that the content security policy admits. Text contrast is at least 4.5 to 1 in both schemes. */
export const style = `
:root{color-scheme:light dark;--bg:#f7f8fa;--card:#fff;--text:#1b2128;--quiet:#545e69;--line:#d5dae0;--link:#0a52b8;--button:#0a52b8;--on-button:#fff;
--good:#0b5d2a;--good-bg:#dcf5e3;--bad:#9c1226;--bad-bg:#fde8ea;--wait:#6b4700;--wait-bg:#fff1c9;--off:#434c56;--off-bg:#e9ecf0}
@media (prefers-color-scheme:dark){:root{--bg:#10151b;--card:#181f27;--text:#e4e9ef;--quiet:#a3adb9;--line:#333d48;--link:#86bcff;--button:#86bcff;--on-button:#0c1a2b;
--good:#86e0a2;--good-bg:#12301d;--bad:#ffa9af;--bad-bg:#3b161b;--wait:#f3cf72;--wait-bg:#33280c;--off:#c2cad3;--off-bg:#2a323b}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-999rem}
.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.3rem .6rem}
header{background:var(--card);border-bottom:1px solid var(--line)}
header>div,main,footer{max-width:70rem;margin:0 auto;padding:.6rem 1rem}
header>div{display:flex;flex-wrap:wrap;gap:.4rem 1.2rem;align-items:center}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem}
nav a{padding:.3rem 0;text-decoration:none}
nav a:hover{text-decoration:underline}
nav a[aria-current]{color:var(--text);font-weight:600;border-bottom:3px solid var(--link)}
.brand{font-weight:700;color:var(--text)}
.who{margin-left:auto;display:flex;gap:.8rem;align-items:center}
footer{color:var(--quiet);font-size:.85rem;border-top:1px solid var(--line);margin-top:2rem}
h1{font-size:1.45rem;line-height:1.25;margin:1rem 0 .5rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2rem 0 .5rem}
h3{font-size:1rem;margin:0;overflow-wrap:anywhere}
p{margin:.4rem 0;max-width:46rem}
.lead{font-size:1.05rem}
.lead::first-letter{text-transform:uppercase}
.quiet{color:var(--quiet)}
code,pre{font:.9em/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
pre{white-space:pre-wrap;background:var(--off-bg);padding:.5rem .7rem;margin:.3rem 0;border-radius:4px;max-height:24rem;overflow:auto}
.badge{display:inline-block;padding:.05rem .5rem;border-radius:1rem;font-size:.85rem;font-weight:600;max-width:8rem;overflow-wrap:break-word;background:var(--off-bg);color:var(--off)}
.badge.good{background:var(--good-bg);color:var(--good)}
.badge.bad{background:var(--bad-bg);color:var(--bad)}
.badge.wait{background:var(--wait-bg);color:var(--wait)}
.notice{padding:.5rem .8rem;border-radius:4px;background:var(--good-bg);color:var(--good)}
.notice.bad{background:var(--bad-bg);color:var(--bad)}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.25rem 1.2rem;margin:.8rem 0;background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.7rem 1rem}
dt{color:var(--quiet)}
dd{margin:0;overflow-wrap:anywhere;min-width:0}
table{width:100%;border-collapse:collapse;background:var(--card);border:1px solid var(--line)}
th,td{text-align:left;vertical-align:top;padding:.45rem .7rem;border-top:1px solid var(--line);overflow-wrap:break-word;font-weight:400}
thead th{color:var(--quiet);font-size:.85rem;border-top:0}
time,.ago{white-space:nowrap}
.ago{color:var(--quiet);font-size:.85rem}
td .ago{display:block}
.long,.sid,bdi{overflow-wrap:anywhere}
table .long{display:inline-block;min-width:13rem}
table .sid{display:inline-block;min-width:6rem}
a .long,a .sid{text-decoration:underline}
.cards{list-style:none;margin:0;padding:0}
.cards>li{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.7rem 1rem;margin:.6rem 0}
.cards .cards>li{background:none;border-width:0 0 0 3px;border-radius:0;padding:.1rem .8rem;margin:.6rem 0 0}
.line{display:flex;flex-wrap:wrap;gap:.2rem .8rem;align-items:baseline}
form{margin:0}
.actions{display:flex;flex-wrap:wrap;gap:.6rem;align-items:center;margin:.8rem 0}
.filter{display:flex;flex-wrap:wrap;gap:.6rem;align-items:end;margin:.8rem 0}
.filter div{display:flex;flex-direction:column}
.stacked{display:flex;flex-direction:column;gap:.5rem;max-width:26rem;margin:.8rem 0}
label{font-weight:600;font-size:.9rem}
.check{display:flex;gap:.5rem;align-items:baseline;margin:.6rem 0}
.check label{font-weight:400;font-size:1rem}
input,select,button{font:inherit;color:inherit;background:var(--card);border:1px solid var(--quiet);border-radius:4px;padding:.35rem .6rem;max-width:100%;min-height:2.4rem}
input[type=checkbox]{min-height:0}
button{background:var(--button);color:var(--on-button);border-color:var(--button);font-weight:600;cursor:pointer}
button.plain{background:var(--card);color:var(--link)}
button.danger{background:var(--bad);border-color:var(--bad);color:var(--card)}
@media (max-width:64rem){
.badge{max-width:100%}
thead{position:absolute;left:-999rem}
table,tbody,tr,td,tbody th{display:block}
table{border:0;background:none}
tr{background:var(--card);border:1px solid var(--line);border-radius:6px;margin:.6rem 0;padding:.3rem 0}
td,tbody th{border:0;padding:.2rem .8rem;display:flex;gap:.6rem}
td::before,tbody th::before{content:attr(data-label);flex:0 0 6rem;color:var(--quiet);font-size:.8rem;padding-top:.2rem}
td>div,th>div{min-width:0}
td .ago{display:inline}
td.none{display:none}
table .long,table .sid{min-width:0}
.filter>div,.filter input,.filter select{width:100%}
dl{grid-template-columns:1fr;gap:0}
dd{margin-bottom:.5rem}
.who{margin-left:0}
}
`.replaceAll("\n", "");
